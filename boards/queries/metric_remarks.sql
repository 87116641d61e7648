-- One row per remark on the days of the metric.
select distinct
    text(model_id) as model,
    text(annotations) as remark
from mart_metric_timeline
where
    metric = '{{ metric }}' and segment_name = 'all' and metric_date >= cast('{{ from_date }}' as date)
    and annotations is not null and value_28d is not null
order by model, remark
