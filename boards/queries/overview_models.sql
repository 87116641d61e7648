-- One row per model: what it earns, how it stands, what is open, what to do next.
select
    models.model_id,
    page('model', models.model_id) as page,
    text(models.model_name) as model_name,
    readable(models.value_amount, 'currency', models.value_reason, models.currency) as value_text,
    readable(models.previous_value_amount, 'currency', coalesce(models.value_reason, 'not known'), models.currency) as previous_text,
    models.value_through_date,
    trends.trend,
    readable(models.net_month_amount, 'currency', coalesce(models.value_reason, 'not known'), models.currency) as net_text,
    models.net_month_start_date,
    coalesce(models.evidence_grade, 'none') as evidence_grade,
    words(models.status) as status,
    words(models.status_metric) as status_metric,
    models.open_alert_count,
    words(models.next_step_metric) as next_step_metric,
    models.next_step
from mart_models as models
left join (
    select
        model_id,
        array_agg(value_28d order by metric_date) as trend
    from mart_metric_timeline
    where metric = 'value_of_decisions' and segment_name = 'all' and metric_date >= cast('{{ from_date }}' as date)
    group by model_id
) as trends on models.model_id = trends.model_id
order by models.value_amount desc nulls last, models.model_name
