-- One row per model, metric and week from Monday to Sunday: how far its value changed since the week before, where both are known.
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period = '7d' and model_version = 'all' and segment_name = 'all' and status = 'ready'

),

week_ends as (

    select distinct cast({{ dbt.dateadd('day', 6, 'week_start_date') }} as date) as week_end_date
    from {{ ref('dim_dates') }}

),

weeks as (

    select
        metric_values.model_id,
        metric_values.metric,
        metric_values.value,
        week_ends.week_end_date
    from metric_values
    inner join week_ends on metric_values.period_end_date = week_ends.week_end_date

),

changes as (

    select
        weeks.model_id,
        weeks.metric,
        weeks.value - earlier_weeks.value as change,
        greatest(abs(weeks.value), abs(earlier_weeks.value)) as size,
        weeks.week_end_date
    from weeks
    inner join weeks as earlier_weeks
        on weeks.model_id = earlier_weeks.model_id
        and weeks.metric = earlier_weeks.metric
        and cast({{ dbt.dateadd('day', -7, 'weeks.week_end_date') }} as date) = earlier_weeks.week_end_date

),

-- what is left of rounding is no change
scaled as (

    select
        *,
        1e-9 * max(size) over (partition by model_id, metric) as smallest_change
    from changes

),

weekly_changes as (

    select
        model_id,
        metric,
        case when abs(change) > smallest_change then change else 0 end as change,
        week_end_date
    from scaled

)

select * from weekly_changes
