-- One row per relation of use and date that it recomputes in this build.
with arrived_usage_events as (

    select * from {{ ref('int_touched_usage_events') }}

),

arrived_eligible_users as (

    select * from {{ ref('int_touched_eligible_users') }}

),

arrived_predictions as (

    select * from {{ ref('int_touched_prediction_logs') }}

),

usage_events as {{ not_materialized() }} (

    select * from {{ ref('stg_usage_events') }}

),

-- there is no use after as_of, but the earlier build may have had a later as_of
moments as (

    select
        cast(min(event_at) as date) as earliest_date,
        cast(null as date) as latest_date
    from arrived_eligible_users
    where event_at >= cast('1900-01-01' as timestamp)
    union all
    select
        cast({{ as_of_span()[0] }} as date) as earliest_date,
        cast({{ as_of_span()[1] }} as date) as latest_date

),

bounds as (

    select
        min(earliest_date) as first_day,
        max(latest_date) as last_day
    from moments

),

{{ day_ctes('bounds') }},

builds as (

    select
        {{ as_of_span()[0] }} as earlier_as_of,
        {{ as_of_span()[1] }} as later_as_of

),

-- the days between the moments of the two builds, in which rows come into sight or out of it
passed_dates as (

    select days.date_day
    from days
    inner join builds
        on days.date_day >= cast(builds.earlier_as_of as date)
        and days.date_day <= cast(builds.later_as_of as date)

),

eligible_dates as (

    select days.date_day
    from arrived_eligible_users
    inner join days
        on days.date_day >= cast(arrived_eligible_users.event_at as date)
        and (arrived_eligible_users.ends_at is null or days.date_day <= cast(arrived_eligible_users.ends_at as date))

),

usage_dates as (

    select cast(event_at as date) as touched_date from arrived_usage_events
    union
    select date_day as touched_date from eligible_dates
    union
    select date_day as touched_date from passed_dates

),

-- a decision says of which segments the use of it was
segment_dates as (

    select distinct cast(usage_events.occurred_at as date) as touched_date
    from usage_events
    inner join arrived_predictions on usage_events.prediction_id = arrived_predictions.row_key

),

activity_dates as (

    select touched_date from usage_dates
    union
    select touched_date from segment_dates

),

named as (

    select
        cast('fct_usage' as {{ dbt.type_string() }}) as relation_name,
        touched_date
    from usage_dates
    where touched_date is not null
    union all
    select
        'fct_activity' as relation_name,
        touched_date
    from activity_dates
    where touched_date is not null

)

select * from named
