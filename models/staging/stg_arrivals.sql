-- One row per checked row of any raw table: the latest copy of a key that was kept, or a copy that was rejected.
{% for table in raw_tables() %}
{{ arrivals(table) }}
{{ 'union all' if not loop.last }}
{% endfor %}
