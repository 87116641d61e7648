-- One row per day and quality metric of the model, over 28 days.
select
    days.metric_date,
    cards.label as metric,
    days.value_28d as value
from mart_metric_timeline as days
inner join mart_metric_catalog as cards on days.metric = cards.metric
where
    days.model_id = '{{ model_id }}' and days.segment_name = 'all' and days.value_28d is not null
    and days.metric in ('roc_auc', 'precision', 'recall', 'accuracy', 'wape', 'ndcg_at_10')
order by cards.label, days.metric_date
