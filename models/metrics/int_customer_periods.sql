-- One row per model, version, segment, segment value and period: customers of whom it became known whether they left, each once.
with outcomes as (

    select * from {{ ref('fct_outcomes') }}
    where outcome_kind = 'churn' and is_final and model_id is not null

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

checks as (

    select
        *,
        coalesce(entity_id, user_id, credited_prediction_id) as customer_id,
        coalesce(outcome_label = 'true', false) as has_left
    from outcomes

),

states as (

    select
        *,
        coalesce(lag(has_left) over (
            partition by model_id, customer_id
            order by occurred_at nulls last, outcome_id nulls last
        ), false) as had_left
    from checks

),

spread as (

    {% for segment in ['all', 'model_version'] + setting('segments') -%}
    select
        model_id,
        {{ "coalesce(model_version, '(none)')" if segment == 'model_version' else "'all'" }} as model_version,
        '{{ 'all' if segment == 'model_version' else segment }}' as segment_name,
        {{ "'all'" if segment in ['all', 'model_version'] else "coalesce(" ~ segment ~ ", '(unknown)')" }} as segment_value,
        {{ "true" if segment == 'all' else "false" }} as is_total,
        outcome_id,
        outcome_date,
        occurred_at,
        customer_id,
        has_left,
        had_left
    from states
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

windows as (

    select
        model_id,
        'all' as period,
        true as is_for_all,
        cast('1900-01-01' as date) as period_start_date,
        judged_through as period_end_date
    from spans
    union all
    {% for days in [1, 7, 28] -%}
    select
        cast(null as {{ dbt.type_string() }}) as model_id,
        '{{ 'day' if days == 1 else days ~ 'd' }}' as period,
        {{ 'true' if days == 28 else 'false' }} as is_for_all,
        cast({{ dbt.dateadd('day', 1 - days, 'date_day') }} as date) as period_start_date,
        date_day as period_end_date
    from dates
    union all
    {% endfor -%}
    select distinct
        cast(null as {{ dbt.type_string() }}) as model_id,
        'month' as period,
        true as is_for_all,
        month_start_date as period_start_date,
        cast({{ dbt.last_day('month_start_date', 'month') }} as date) as period_end_date
    from dates

),

seen as (

    select
        spread.*,
        windows.period,
        windows.period_end_date,
        row_number() over (
            partition by
                spread.model_id, spread.model_version, spread.segment_name, spread.segment_value,
                windows.period, windows.period_end_date, spread.customer_id
            order by spread.occurred_at nulls last, spread.outcome_id nulls last
        ) as place_from_first,
        row_number() over (
            partition by
                spread.model_id, spread.model_version, spread.segment_name, spread.segment_value,
                windows.period, windows.period_end_date, spread.customer_id
            order by spread.occurred_at desc nulls last, spread.outcome_id desc nulls last
        ) as place_from_last
    from spread
    inner join windows
        on spread.outcome_date between windows.period_start_date and windows.period_end_date
        and (windows.model_id is null or spread.model_id = windows.model_id)
        and (windows.is_for_all or spread.is_total)

),

customers as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        period_end_date,
        customer_id,
        max(case when place_from_first = 1 and had_left then 1 else 0 end) as had_left_before,
        max(case when place_from_last = 1 and has_left then 1 else 0 end) as has_left_at_last
    from seen
    group by model_id, model_version, segment_name, segment_value, period, period_end_date, customer_id

),

customer_periods as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        sum(has_left_at_last) as left_count,
        count(*) as customer_count,
        period_end_date
    from customers
    where had_left_before = 0
    group by model_id, model_version, segment_name, segment_value, period, period_end_date

)

select * from customer_periods
