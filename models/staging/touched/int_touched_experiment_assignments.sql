-- One row per copy of a row of raw table experiment_assignments that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('experiment_assignments') }}
