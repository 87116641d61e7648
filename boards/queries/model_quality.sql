-- One row per day and quality metric of the model, over 28 days.
select
    metric_date,
    words(metric) as metric,
    value_28d as value
from mart_metric_timeline
where
    model_id = '{{ model_id }}' and segment_name = 'all' and value_28d is not null
    and metric in ('roc_auc', 'precision', 'recall', 'accuracy', 'wape', 'ndcg_at_10')
order by metric, metric_date
