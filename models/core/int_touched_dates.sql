-- One row per incremental relation and date that it recomputes in this build.
with touched_rows as (

    select * from {{ ref('int_touched_rows') }}

),

predictions as (

    select * from {{ ref('stg_prediction_logs') }}

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}

),

feedback as (

    select * from {{ ref('stg_feedback') }}

),

models as (

    select * from {{ ref('dim_models') }}

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

decisions as {{ not_materialized() }} (

    select
        predictions.*,
        cast({{ dbt.dateadd('day', 'models.horizon_days', 'predictions.predicted_at') }} as timestamp) as horizon_ends_at
    from predictions
    inner join models on predictions.model_id = models.model_id

),

touched_predictions as (

    select
        touched_rows.*,
        cast({{ dbt.dateadd('day', 'models.horizon_days', 'touched_rows.event_at') }} as timestamp) as horizon_ends_at
    from touched_rows
    inner join models on touched_rows.model_id = models.model_id
    where touched_rows.table_name = 'prediction_logs'

),

-- a decision gives an outcome its credit, its version and its segments
reached_outcomes as (

    select prediction_id, entity_id, user_id, event_at as occurred_at
    from touched_rows
    where table_name = 'business_outcomes'
    union
    select outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at
    from outcomes
    inner join touched_predictions on outcomes.prediction_id = touched_predictions.prediction_id
    union
    select outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at
    from outcomes
    inner join touched_predictions
        on outcomes.entity_id = touched_predictions.entity_id
        and outcomes.occurred_at >= touched_predictions.event_at
        and outcomes.occurred_at < touched_predictions.horizon_ends_at
    where outcomes.prediction_id is null
    union
    select outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at
    from outcomes
    inner join touched_predictions
        on outcomes.user_id = touched_predictions.user_id
        and outcomes.occurred_at >= touched_predictions.event_at
        and outcomes.occurred_at < touched_predictions.horizon_ends_at
    where outcomes.prediction_id is null and outcomes.entity_id is null

),

named_predictions as (

    select prediction_id from reached_outcomes where prediction_id is not null
    union
    select prediction_id from touched_rows where table_name = 'usage_events' and prediction_id is not null

),

-- what an outcome labels or pays, whichever decision takes it now
reached_predictions as (

    select decisions.predicted_at
    from decisions
    inner join named_predictions on decisions.prediction_id = named_predictions.prediction_id
    union all
    select decisions.predicted_at
    from decisions
    inner join reached_outcomes
        on decisions.entity_id = reached_outcomes.entity_id
        and reached_outcomes.occurred_at >= decisions.predicted_at
        and reached_outcomes.occurred_at < decisions.horizon_ends_at
    where reached_outcomes.prediction_id is null
    union all
    select decisions.predicted_at
    from decisions
    inner join reached_outcomes
        on decisions.user_id = reached_outcomes.user_id
        and reached_outcomes.occurred_at >= decisions.predicted_at
        and reached_outcomes.occurred_at < decisions.horizon_ends_at
    where reached_outcomes.prediction_id is null and reached_outcomes.entity_id is null

),

matured_dates as (

    select days.date_day
    from days
    cross join models
    inner join builds
        on days.date_day
        >= cast({{ dbt.dateadd('day', '-(models.horizon_days + models.label_delay_days)', 'builds.earlier_as_of') }} as date)
        and days.date_day
        <= cast({{ dbt.dateadd('day', '-(models.horizon_days + models.label_delay_days)', 'builds.later_as_of') }} as date)
    where builds.earlier_as_of < builds.later_as_of

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

    select cast(event_at as date) as touched_date from touched_predictions
    union
    select cast(predicted_at as date) as touched_date from reached_predictions
    union
    select date_day as touched_date from matured_dates

),

outcome_dates as (

    select cast(occurred_at as date) as touched_date from reached_outcomes

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
    inner join touched_predictions on feedback.prediction_id = touched_predictions.prediction_id

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
