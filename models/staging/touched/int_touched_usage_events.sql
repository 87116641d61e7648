-- One row per copy of a row of raw table usage_events that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('usage_events') }}
