-- One row per row of raw table prediction_logs: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_prediction_logs') }}
{{ checked_rows('prediction_logs') }}
