-- One row per row of raw table eligible_users: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_eligible_users') }}
{{ checked_rows('eligible_users') }}
