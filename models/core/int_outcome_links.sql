-- One row per outcome and decision it is linked to.
-- depends_on: {{ ref('int_touched_keys') }}
{%- set reached_from = reach_begins(['int_touched_keys'], 'touched_date', "relation_name = 'int_outcome_links'") %}
with outcomes as (

    select * from {{ ref('stg_business_outcomes') }} where {{ touched('occurred_at', 'outcome_id') }}

),

predictions as {{ not_materialized() if not is_incremental() }} (

    select * from {{ ref('stg_prediction_logs') }}
    {%- if is_incremental() and replaces_rows() %}
    -- whatever a touched outcome can be linked to is touched as well
    where {{ is_touched('predicted_at', 'prediction_id', 'decisions') }}
    {%- endif %}

),

models as (

    select * from {{ ref('dim_models') }}

),

decisions as {{ not_materialized() }} (

    select
        predictions.prediction_id,
        predictions.model_id,
        predictions.entity_id,
        predictions.user_id,
        predictions.predicted_at,
        cast({{ dbt.dateadd('day', 'models.horizon_days', 'predictions.predicted_at') }} as timestamp) as horizon_ends_at
    from predictions
    inner join models on predictions.model_id = models.model_id
    where (predictions.environment is null or predictions.environment = 'prod')

),

linked_by_prediction as (

    select
        outcomes.outcome_id,
        decisions.prediction_id,
        decisions.model_id,
        decisions.predicted_at,
        cast(outcomes.occurred_at as date) as outcome_date
    from outcomes
    inner join decisions on outcomes.prediction_id = decisions.prediction_id

),

linked_by_entity as (

    select
        outcomes.outcome_id,
        decisions.prediction_id,
        decisions.model_id,
        decisions.predicted_at,
        cast(outcomes.occurred_at as date) as outcome_date
    from outcomes
    inner join decisions
        on outcomes.entity_id = decisions.entity_id
        and outcomes.occurred_by >= decisions.predicted_at
        and outcomes.occurred_at < decisions.horizon_ends_at
    where
        outcomes.prediction_id is null
        and decisions.predicted_at >= {{ reached_from }}

),

linked_by_user as (

    select
        outcomes.outcome_id,
        decisions.prediction_id,
        decisions.model_id,
        decisions.predicted_at,
        cast(outcomes.occurred_at as date) as outcome_date
    from outcomes
    inner join decisions
        on outcomes.user_id = decisions.user_id
        and outcomes.occurred_by >= decisions.predicted_at
        and outcomes.occurred_at < decisions.horizon_ends_at
    where
        outcomes.prediction_id is null
        and outcomes.entity_id is null
        and decisions.predicted_at >= {{ reached_from }}

),

links as (

    select * from linked_by_prediction
    union all
    select * from linked_by_entity
    union all
    select * from linked_by_user

),

ranked_links as (

    select
        outcome_id,
        prediction_id,
        model_id,
        row_number() over (
            partition by outcome_id, model_id
            order by predicted_at desc nulls last, prediction_id desc nulls last
        ) = 1 as is_credited,
        outcome_date,
        predicted_at
    from links

)

select * from ranked_links
