-- One row per decision, entity, user and date of a decision that is recomputed in this build.
with reached as (

    select * from {{ ref('int_touched_keys') }} where relation_name = 'decisions'

),

arrived_usage_events as (

    select * from {{ ref('int_touched_usage_events') }}

),

predictions as {{ not_materialized() }} (

    select * from {{ ref('stg_prediction_logs') }}

),

used_predictions as (

    select distinct prediction_id from arrived_usage_events where prediction_id is not null

),

touched_decisions as (

    select
        touched_key,
        entity_id,
        user_id,
        touched_date
    from reached
    union
    select
        predictions.prediction_id as touched_key,
        predictions.entity_id,
        predictions.user_id,
        cast(predictions.predicted_at as date) as touched_date
    from predictions
    inner join used_predictions on predictions.prediction_id = used_predictions.prediction_id

),

named as (

    select
        cast('fct_decisions' as {{ dbt.type_string() }}) as relation_name,
        touched_key,
        entity_id,
        user_id,
        touched_date
    from touched_decisions

)

select * from named
