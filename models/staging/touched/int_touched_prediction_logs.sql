-- One row per copy of a row of raw table prediction_logs that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('prediction_logs') }}
