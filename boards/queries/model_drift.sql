-- One row per week and feature over all versions.
select
    period_start_date,
    text(feature) as feature,
    words(status) as drift_status
from mart_drift
where model_id = '{{ model_id }}' and period = 'week' and model_version = 'all'
order by feature, period_start_date
