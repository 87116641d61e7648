-- One row per day, from the first event to as_of or the last event, whichever is later.
with decisions as (

    select predicted_at from {{ ref('stg_prediction_logs') }}

),

usage_events as (

    select occurred_at from {{ ref('stg_usage_events') }}

),

outcomes as (

    select occurred_at from {{ ref('stg_business_outcomes') }}

),

eligibility as (

    select eligible_from from {{ ref('stg_eligible_users') }}

),

costs as (

    select
        period_start,
        period_end
    from {{ ref('stg_serving_costs') }}

),

feedback as (

    select asked_at from {{ ref('stg_feedback') }}

),

releases as (

    select event_at from {{ ref('stg_model_releases') }}

),

arrivals as (

    select loaded_at from {{ ref('stg_arrivals') }}
    where reason is null

),

moments as (

    select {{ as_of() }} as earliest_at, {{ as_of() }} as latest_at
    union all
    select min(predicted_at) as earliest_at, max(predicted_at) as latest_at from decisions
    union all
    select min(occurred_at) as earliest_at, max(occurred_at) as latest_at from usage_events
    union all
    select min(occurred_at) as earliest_at, max(occurred_at) as latest_at from outcomes
    union all
    select min(eligible_from) as earliest_at, cast(null as timestamp) as latest_at from eligibility
    union all
    select min(period_start) as earliest_at, max(period_end) as latest_at from costs
    union all
    select min(asked_at) as earliest_at, max(asked_at) as latest_at from feedback
    union all
    select min(event_at) as earliest_at, max(event_at) as latest_at from releases
    union all
    select min(loaded_at) as earliest_at, cast(null as timestamp) as latest_at from arrivals

),

bounds as (

    select
        cast(min(earliest_at) as date) as first_day,
        cast(max(latest_at) as date) as last_day
    from moments

),

{{ day_ctes('bounds') }},

dates as (

    select
        date_day,
        cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week_start_date,
        cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month_start_date,
        mod({{ dbt.datediff("cast('1900-01-01' as date)", 'date_day', 'day') }}, 7) + 1 as weekday_number,
        cast({{ dbt.dateadd('day', 1, 'date_day') }} as timestamp) <= {{ as_of() }} as is_complete
    from days

)

select * from dates
