{% test meets_its_keys(model, table, tables) %}
{# Keys that meet nothing in the raw tables named in `tables`: dbt then leaves all that is made of both as it was. #}
{%- for other in tables -%}
    {%- do ref('chk_' ~ other) -%}
{%- endfor -%}
{%- do ref('cfg_experiments') if table == 'experiment_assignments' -%}
{{ stopping_checks(model, table, met_checks) }}
{% endtest %}
