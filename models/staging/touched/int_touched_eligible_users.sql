-- One row per copy of a row of raw table eligible_users that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('eligible_users') }}
