{% test has_known_models(model, table) %}
{# A delivered table without a row of a governed model: model_registry does not name the models of this log. #}
{# It reads what stands before the model alone, and not stg_rejected_rows: dbt then skips all that follows. #}
{%- do declare_inputs(table) -%}
{%- if execute and table in setting('inputs') and raw_columns(table) is not none %}
with {{ checked_ctes(table) }}

select count(*) as rejected_count
from checked
where reject_reason = 'model_id is not in model_registry'
having count(*) > 0 and (select count(*) from {{ model }}) = 0
{%- else %}
select * from {{ model }} where 1 = 0
{%- endif %}
{% endtest %}
