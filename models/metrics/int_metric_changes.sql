-- One row per metric, model and month or latest 28 days: its total, and that of the period before.
with totals as (

    select * from {{ ref('fct_metric_values') }}
    where is_additive and period in ('28d', 'month') and model_version = 'all' and segment_name = 'all'

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metric_changes as (

    select
        totals.metric,
        totals.model_id,
        totals.period,
        metrics.numerator_brick,
        case
            when totals.reason is not null then totals.reason
            when earlier.metric is null then 'no_earlier_period'
            when earlier.reason is not null then 'earlier_' || earlier.reason
        end as reason,
        totals.numerator,
        totals.denominator,
        totals.value,
        earlier.numerator as previous_numerator,
        earlier.denominator as previous_denominator,
        earlier.value as previous_value,
        {{ is_beyond_noise('totals', 'earlier') }} as is_beyond_noise,
        metrics.denominator_brick is not null as is_ratio,
        totals.period_start_date,
        totals.period_end_date,
        earlier.period_start_date as previous_start_date,
        cast({{ dbt.dateadd('day', -1, 'totals.period_start_date') }} as date) as previous_end_date
    from totals
    inner join metrics on totals.metric = metrics.metric
    inner join model_metrics
        on totals.metric = model_metrics.metric
        and totals.model_id = model_metrics.model_id
        -- of windows of 28 days, the one that the scorecard shows
        and (totals.period = 'month' or totals.period_end_date = model_metrics.known_through)
    left join totals as earlier
        on totals.metric = earlier.metric
        and totals.model_id = earlier.model_id
        and totals.period = earlier.period
        and cast({{ dbt.dateadd('day', -1, 'totals.period_start_date') }} as date) = earlier.period_end_date
    -- before the model began there is nothing to explain
    where totals.reason is null or totals.reason <> 'no_data' or coalesce(earlier.reason, '') <> 'no_data'

)

select * from metric_changes
