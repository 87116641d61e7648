-- One row per model and day on which a version went live, within the days that are shown.
select
    days.metric_date,
    text(days.model_id) as model,
    days.value_28d as value
from mart_releases as releases
inner join mart_metric_timeline as days on releases.model_id = days.model_id and cast(releases.deployed_at as date) = days.metric_date
where
    days.metric = '{{ metric }}' and days.segment_name = 'all' and days.metric_date >= cast('{{ from_date }}' as date)
    and days.value_28d is not null
order by model, days.metric_date
