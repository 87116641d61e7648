-- One row: why no curve of value is told.
select words(coalesce(value_reason, reason)) as reason
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and coalesce(value_reason, reason) is not null
limit 1
