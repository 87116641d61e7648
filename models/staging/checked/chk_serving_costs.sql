-- One row per row of raw table serving_costs: of each key the latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('serving_costs') }}
