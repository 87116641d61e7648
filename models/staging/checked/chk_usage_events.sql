-- One row per row of raw table usage_events: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_usage_events') }}
{{ checked_rows('usage_events') }}
