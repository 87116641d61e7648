{# How the use of a model is told by groups of people. #}

{# The segments of adoption: team and role, which an eligible user has, then those of the settings, which decisions have. #}
{% macro adoption_segments(with_total=false) %}
    {% set own = ['team', 'role'] %}
    {{ return((['all'] if with_total else []) + own + setting('segments') | reject('in', own) | list) }}
{% endmacro %}

{# The last day of the month after that of a date. #}
{% macro next_month_end(date) -%}
    cast({{ dbt.dateadd('day', -1, dbt.dateadd('month', 2, dbt.date_trunc('month', date))) }} as date)
{%- endmacro %}
