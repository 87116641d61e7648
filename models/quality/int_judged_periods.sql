-- One row per model and period that is read for curves: each month whose labels are all known, the newest 28 days, and all days.
with spans as (

    select * from {{ ref('int_model_spans') }}
    where first_decision_date <= judged_through

),

dates as (

    select * from {{ ref('dim_dates') }}

),

months as (

    select
        month_start_date,
        cast({{ dbt.last_day('month_start_date', 'month') }} as date) as month_end_date
    from dates
    group by month_start_date

),

judged_periods as (

    select
        model_id,
        'all' as period,
        first_decision_date as period_start_date,
        judged_through as period_end_date
    from spans
    union all
    select
        model_id,
        '28d' as period,
        cast({{ dbt.dateadd('day', -27, 'judged_through') }} as date) as period_start_date,
        judged_through as period_end_date
    from spans
    union all
    select
        spans.model_id,
        'month' as period,
        months.month_start_date as period_start_date,
        months.month_end_date as period_end_date
    from spans
    inner join months
        on spans.first_decision_date <= months.month_end_date
        and spans.judged_through >= months.month_end_date

)

select * from judged_periods
