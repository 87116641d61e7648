{% test is_sound(model, table) %}
{# Faults of a delivery that bend every number made of it: dbt then leaves all that follows as it was. It reads the table alone. #}
{%- do ref('chk_' ~ table) -%}
{%- do ref('model_registry') -%}
{%- if execute and is_delivered(table) %}
select * from ({{ judged_checks(own_checks(table)) }}) as judged
where status = 'stop'
{%- else %}
select * from {{ model }} where 1 = 0
{%- endif %}
{% endtest %}
