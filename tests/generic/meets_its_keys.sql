{% test meets_its_keys(model, table, tables) %}
{# Keys that meet nothing in the raw tables named in `tables`: dbt then leaves all that is made of both as it was. #}
{%- for other in [table] + tables -%}
    {%- do ref('chk_' ~ other) -%}
{%- endfor -%}
{%- do ref('model_registry') -%}
{%- do ref('experiments') -%}
{%- if execute and is_delivered(table) %}
select * from ({{ judged_checks(met_checks(table)) }}) as judged
where status = 'stop'
{%- else %}
select * from {{ model }} where 1 = 0
{%- endif %}
{% endtest %}
