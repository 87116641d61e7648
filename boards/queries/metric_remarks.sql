-- One row per model and remark, with the first of the shown days that has it.
select
    metric_date,
    text(model_id) as model,
    text(annotations) as remark
from (
    select distinct on (model_id, annotations)
        model_id,
        annotations,
        metric_date
    from mart_metric_timeline
    where
        metric = '{{ metric }}' and segment_name = 'all' and metric_date >= cast('{{ from_date }}' as date)
        and annotations is not null and value_28d is not null
    order by model_id, annotations, metric_date
) as remarks
order by model_id, metric_date
