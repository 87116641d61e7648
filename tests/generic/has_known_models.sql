{% test has_known_models(model, table) %}
{# A delivered table without a row of a governed model: model_registry does not name the models of this log. #}
select count(*) as rejected_count
from {{ ref('stg_rejected_rows') }}
where table_name = '{{ table }}' and reason = 'model_id is not in model_registry'
having count(*) > 0 and (select count(*) from {{ model }}) = 0
{% endtest %}
