{% test has_known_models(model, table) %}
{# A delivered table without a row of a governed model: model_registry does not name the models of this log. #}
{# It reads what stands before the model alone: dbt then skips all that follows. #}
select count(*) as rejected_count
from {{ ref('chk_' ~ table) }}
where reject_reason = 'model_id is not in model_registry'
having count(*) > 0 and (select count(*) from {{ model }}) = 0
{% endtest %}
