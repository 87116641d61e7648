-- One row per copy of a row of raw table feedback that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('feedback') }}
