-- One row per row of raw table experiment_assignments: of each key the latest copy that keeps the contract, and each copy that breaks it.
-- depends_on: {{ ref('int_touched_experiment_assignments') }}
{{ checked_rows('experiment_assignments') }}
