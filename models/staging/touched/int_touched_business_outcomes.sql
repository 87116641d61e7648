-- One row per copy of a row of raw table business_outcomes that arrived, or came into or out of sight, since the last finished build.
{{ touched_copies('business_outcomes') }}
