-- One row per metric, model, version, segment, segment value and complete month.
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period = 'month'

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

targets as (

    select * from {{ ref('dim_targets') }}

),

months as (

    select
        metric_values.metric,
        metrics.label,
        metrics.pillar,
        metrics.unit,
        metric_values.model_id,
        metric_values.model_version,
        metric_values.segment_name,
        metric_values.segment_value,
        metric_values.value,
        metric_values.value_low,
        metric_values.value_high,
        metric_values.numerator,
        metric_values.denominator,
        metric_values.excluded_count,
        metric_values.unit_count,
        metric_values.covered_days,
        metric_values.reason as not_ready_reason,
        targets.target,
        targets.floor,
        {{ target_status(
            'metric_values.value', 'targets.target', 'targets.floor',
            expected_value('targets', 'metric_values.period_end_date'), 'model_metrics.direction'
        ) }} as status,
        metric_values.period_start_date as month_start_date
    from metric_values
    inner join metrics on metric_values.metric = metrics.metric
    inner join model_metrics
        on metric_values.metric = model_metrics.metric
        and metric_values.model_id = model_metrics.model_id
    left join targets
        on metric_values.metric = targets.metric
        and metric_values.model_id = targets.model_id
        and metric_values.segment_name = targets.segment_name
        and metric_values.segment_value = targets.segment_value
        and metric_values.period_end_date = targets.target_date
        and metric_values.model_version = 'all'

)

select * from months
