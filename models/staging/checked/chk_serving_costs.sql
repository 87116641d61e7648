-- One row per row of raw table serving_costs: its latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('serving_costs') }}
