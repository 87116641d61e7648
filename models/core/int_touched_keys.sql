-- One row per relation, key, entity, user and date of a row that it recomputes in this build.
{%- set arrived = ['int_touched_prediction_logs', 'int_touched_business_outcomes'] %}
{%- set reached_from = reach_begins(arrived, 'event_at', "event_at >= cast('1900-01-01' as timestamp)") %}
with arrived_predictions as (

    select * from {{ ref('int_touched_prediction_logs') }}

),

arrived_outcomes as (

    select * from {{ ref('int_touched_business_outcomes') }}

),

predictions as {{ not_materialized() }} (

    select * from {{ ref('stg_prediction_logs') }}

),

outcomes as {{ not_materialized() }} (

    select * from {{ ref('stg_business_outcomes') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

decisions as {{ not_materialized() }} (

    select
        predictions.prediction_id,
        predictions.entity_id,
        predictions.user_id,
        predictions.predicted_at,
        cast({{ dbt.dateadd('day', 'models.horizon_days', 'predictions.predicted_at') }} as timestamp) as horizon_ends_at,
        cast({{ dbt.dateadd('day', 'models.horizon_days + models.label_delay_days', 'predictions.predicted_at') }} as timestamp)
            as matures_at
    from predictions
    inner join models on predictions.model_id = models.model_id

),

touched_predictions as (

    select
        arrived_predictions.*,
        cast({{ dbt.dateadd('day', 'models.horizon_days', 'arrived_predictions.event_at') }} as timestamp) as horizon_ends_at
    from arrived_predictions
    inner join models on arrived_predictions.model_id = models.model_id

),

-- a decision gives an outcome its credit, its version and its segments
reached_outcomes as (

    select row_key as outcome_id, prediction_id, entity_id, user_id, event_at as occurred_at, {{ latest_of_day('event_at') }} as occurred_by
    from arrived_outcomes
    union
    -- an outcome that was dated ahead of as_of labels once as_of has passed it
    select outcome_id, prediction_id, entity_id, user_id, occurred_at, occurred_by
    from outcomes
    where occurred_at > {{ as_of_span()[0] }} and occurred_at <= {{ as_of_span()[1] }}
    union
    select outcomes.outcome_id, outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at, outcomes.occurred_by
    from outcomes
    inner join touched_predictions on outcomes.prediction_id = touched_predictions.prediction_id
    union
    select outcomes.outcome_id, outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at, outcomes.occurred_by
    from outcomes
    inner join touched_predictions
        on outcomes.entity_id = touched_predictions.entity_id
        and outcomes.occurred_by >= touched_predictions.event_at
        and outcomes.occurred_at < touched_predictions.horizon_ends_at
    where outcomes.occurred_at >= {{ reached_from }} and outcomes.prediction_id is null
    union
    select outcomes.outcome_id, outcomes.prediction_id, outcomes.entity_id, outcomes.user_id, outcomes.occurred_at, outcomes.occurred_by
    from outcomes
    inner join touched_predictions
        on outcomes.user_id = touched_predictions.user_id
        and outcomes.occurred_by >= touched_predictions.event_at
        and outcomes.occurred_at < touched_predictions.horizon_ends_at
    where
        outcomes.occurred_at >= {{ reached_from }}
        and outcomes.prediction_id is null
        and outcomes.entity_id is null

),

named_predictions as (

    select distinct prediction_id from reached_outcomes where prediction_id is not null

),

-- every decision that an outcome can label or credit, whichever of them takes it now
reached_predictions as (

    select decisions.prediction_id, decisions.entity_id, decisions.user_id, decisions.predicted_at
    from decisions
    inner join named_predictions on decisions.prediction_id = named_predictions.prediction_id
    union all
    select decisions.prediction_id, decisions.entity_id, decisions.user_id, decisions.predicted_at
    from decisions
    inner join reached_outcomes
        on decisions.entity_id = reached_outcomes.entity_id
        and reached_outcomes.occurred_by >= decisions.predicted_at
        and reached_outcomes.occurred_at < decisions.horizon_ends_at
    where decisions.predicted_at >= {{ reached_from }} and reached_outcomes.prediction_id is null
    union all
    select decisions.prediction_id, decisions.entity_id, decisions.user_id, decisions.predicted_at
    from decisions
    inner join reached_outcomes
        on decisions.user_id = reached_outcomes.user_id
        and reached_outcomes.occurred_by >= decisions.predicted_at
        and reached_outcomes.occurred_at < decisions.horizon_ends_at
    where
        decisions.predicted_at >= {{ reached_from }}
        and reached_outcomes.prediction_id is null
        and reached_outcomes.entity_id is null

),

matured_predictions as (

    select prediction_id, entity_id, user_id, predicted_at
    from decisions
    where
        matures_at > {{ as_of_span()[0] }}
        and matures_at <= {{ as_of_span()[1] }}
        and predicted_at >= {{ maturing_begins() }}
        and predicted_at <= {{ as_of_span()[1] }}

),

decision_keys as (

    select prediction_id as touched_key, entity_id, user_id, cast(event_at as date) as touched_date from touched_predictions
    union
    select prediction_id as touched_key, entity_id, user_id, cast(predicted_at as date) as touched_date from reached_predictions
    union
    select prediction_id as touched_key, entity_id, user_id, cast(predicted_at as date) as touched_date from matured_predictions

),

outcome_keys as (

    select distinct outcome_id as touched_key, entity_id, user_id, cast(occurred_at as date) as touched_date from reached_outcomes

),

relation_keys as (

    select 'decisions' as relation_name, touched_key, entity_id, user_id, touched_date from decision_keys
    union all
    select 'int_outcome_links' as relation_name, touched_key, entity_id, user_id, touched_date from outcome_keys
    union all
    select 'fct_outcomes' as relation_name, touched_key, entity_id, user_id, touched_date from outcome_keys

),

touched_keys as (

    -- a copy that is dated outside these years was rejected
    select *
    from relation_keys
    where
        touched_key is not null
        and touched_date >= cast('1900-01-01' as date)
        and touched_date < cast('2200-01-01' as date)

)

select * from touched_keys
