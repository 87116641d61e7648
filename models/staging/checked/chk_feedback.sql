-- One row per row of raw table feedback: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_feedback') }}
{{ checked_rows('feedback') }}
