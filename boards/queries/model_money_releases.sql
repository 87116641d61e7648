-- One row per day on which a version went live: the value of that day's 28 days.
select
    days.metric_date,
    days.value_28d as value,
    releases.model_version
from mart_releases as releases
inner join mart_metric_timeline as days on releases.model_id = days.model_id and cast(releases.deployed_at as date) = days.metric_date
where days.model_id = '{{ model_id }}' and days.metric = 'value_of_decisions' and days.segment_name = 'all' and days.value_28d is not null
order by days.metric_date
