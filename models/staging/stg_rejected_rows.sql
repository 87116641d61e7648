-- One row per delivered raw row that breaks the contract, visible at as_of.
{% for table in raw_tables() %}
{{ rejected(table) }}
{{ 'union all' if not loop.last }}
{% endfor %}
