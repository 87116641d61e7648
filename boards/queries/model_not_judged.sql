-- One row per feature and reason why a week of it is not judged.
select distinct
    text(feature) as feature,
    words(reason) as reason
from mart_drift
where model_id = '{{ model_id }}' and period = 'week' and model_version = 'all' and reason is not null
order by feature, reason
