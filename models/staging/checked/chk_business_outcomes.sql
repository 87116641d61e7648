-- One row per row of raw table business_outcomes: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_business_outcomes') }}
{{ checked_rows('business_outcomes') }}
