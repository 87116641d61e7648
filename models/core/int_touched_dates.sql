-- One row per incremental relation and date that it recomputes in this build.
with touched_rows as (

    select * from {{ ref('int_touched_rows') }}

),

touched_keys as (

    select * from {{ ref('int_touched_keys') }}

),

feedback as (

    select * from {{ ref('stg_feedback') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

-- earlier builds may have known days that are out of sight now
moments as (

    select
        min(date_day) as earliest_date,
        max(date_day) as latest_date
    from dates
    union all
    select
        cast(min(event_at) as date) as earliest_date,
        cast(max(coalesce(ends_at, event_at)) as date) as latest_date
    from touched_rows
    where event_at >= cast('1900-01-01' as timestamp) and coalesce(ends_at, event_at) < cast('2200-01-01' as timestamp)
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

-- days that a build of the past had not reached, or rows without a time of arrival that move with as_of
passed_dates as (

    select days.date_day
    from days
    inner join builds
        on days.date_day >= cast(builds.earlier_as_of as date)
        and days.date_day <= cast(builds.later_as_of as date)

),

spanned_dates as (

    select
        touched_rows.table_name,
        days.date_day
    from touched_rows
    inner join days
        on days.date_day >= cast(touched_rows.event_at as date)
        and (touched_rows.ends_at is null or days.date_day <= cast(touched_rows.ends_at as date))
    where touched_rows.table_name in ('eligible_users', 'serving_costs')

),

decision_dates as (

    select distinct touched_date from touched_keys where relation_name = 'fct_decisions'

),

outcome_dates as (

    select distinct touched_date from touched_keys where relation_name = 'fct_outcomes'

),

usage_dates as (

    select cast(event_at as date) as touched_date from touched_rows where table_name = 'usage_events'
    union
    select date_day as touched_date from spanned_dates where table_name = 'eligible_users'
    union
    select date_day as touched_date from passed_dates

),

-- a day's decisions share its costs
cost_dates as (

    select touched_date from decision_dates
    union
    select date_day as touched_date from spanned_dates where table_name = 'serving_costs'

),

feedback_dates as (

    select cast(event_at as date) as touched_date from touched_rows where table_name = 'feedback'
    union
    select cast(feedback.asked_at as date) as touched_date
    from feedback
    inner join touched_rows on feedback.prediction_id = touched_rows.prediction_id
    where touched_rows.table_name = 'prediction_logs'

),

release_dates as (

    select cast(event_at as date) as touched_date from touched_rows where table_name = 'model_releases'

),

arrival_dates as (

    select cast(loaded_at as date) as touched_date from touched_rows
    union
    select date_day as touched_date from passed_dates

),

metric_dates as (

    select touched_date from decision_dates
    union
    select touched_date from outcome_dates
    union
    select touched_date from usage_dates
    union
    select touched_date from cost_dates
    union
    select touched_date from feedback_dates
    union
    select touched_date from release_dates
    union
    select touched_date from arrival_dates

),

relation_dates as (

    select 'fct_decisions' as relation_name, touched_date from decision_dates
    union all
    select 'int_outcome_links' as relation_name, touched_date from outcome_dates
    union all
    select 'fct_outcomes' as relation_name, touched_date from outcome_dates
    union all
    select 'fct_usage' as relation_name, touched_date from usage_dates
    union all
    select 'fct_costs' as relation_name, touched_date from cost_dates
    union all
    select 'fct_feedback' as relation_name, touched_date from feedback_dates
    union all
    select 'fct_rejections' as relation_name, touched_date from arrival_dates
    union all
    select 'fct_bricks' as relation_name, touched_date from metric_dates
    union all
    select 'fct_metrics' as relation_name, touched_date from metric_dates

),

touched_dates as (

    select distinct relation_name, touched_date from relation_dates where touched_date is not null

)

select * from touched_dates
