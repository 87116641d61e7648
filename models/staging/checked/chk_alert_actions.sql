-- One row per row of raw table alert_actions: of each key the latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('alert_actions') }}
