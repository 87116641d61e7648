-- One row per model and day: the metric over 28 days.
select
    metric_date,
    text(model_id) as model,
    value_28d as value
from mart_metric_timeline
where metric = '{{ metric }}' and segment_name = 'all' and metric_date >= cast('{{ from_date }}' as date) and value_28d is not null
order by model_id, metric_date
