{% test known_metrics(model, column_name, also=[], separator=none) %}
{# Rows whose column names no governed metric; with a separator it names several. #}
{%- set names = (metrics() | map(attribute='name') | list if execute else []) + also -%}
{%- if separator %}
{#- Each name is taken out between its separators; what remains is unknown. -#}
{%- set remainder = namespace(sql="'" ~ separator ~ "' || replace(" ~ column_name ~ ", '" ~ separator ~ "', '" ~ separator * 2 ~ "') || '" ~ separator ~ "'") -%}
{%- for name in names %}
    {%- set remainder.sql = "replace(" ~ remainder.sql ~ ", '" ~ separator ~ name ~ separator ~ "', '')" -%}
{%- endfor %}
select *
from {{ model }}
where {{ remainder.sql }} <> ''
{%- else %}
select *
from {{ model }}
where {{ column_name }} not in ('{{ names | join("', '") }}')
{%- endif %}
{% endtest %}
