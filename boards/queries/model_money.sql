-- One row per day: the value of decisions over 28 days.
select
    metric_date,
    value_28d as value,
    annotations
from mart_metric_timeline
where model_id = '{{ model_id }}' and metric = 'value_of_decisions' and segment_name = 'all' and value_28d is not null
order by metric_date
