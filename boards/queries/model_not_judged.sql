-- One row per reason why a week of a feature is not judged.
select distinct words(reason) as reason
from mart_drift
where model_id = '{{ model_id }}' and period = 'week' and model_version = 'all' and reason is not null
order by reason
