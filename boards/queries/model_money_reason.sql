-- One row: why no value is told.
select words(value_reason) as reason
from mart_models
where model_id = '{{ model_id }}'
