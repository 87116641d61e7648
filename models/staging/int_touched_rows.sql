-- One row per delivered copy of a raw row that arrived, or came into or out of sight, since the last finished build.
{% for table in raw_tables() %}
{{ touched_copies(table) }}
{{ 'union all' if not loop.last }}
{% endfor %}
