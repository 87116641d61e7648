-- One row per governed model: the first day of its decisions and the last day whose labels are known.
with models as (

    select * from {{ ref('dim_models') }}

),

decisions as (

    select * from {{ ref('fct_decisions') }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }}
    where source_name in ('prediction_logs', 'labels')

),

first_days as (

    select
        model_id,
        min(decision_date) as first_decision_date
    from decisions
    group by model_id

),

deliveries as (

    select
        model_id,
        min(known_through) as known_through
    from watermarks
    group by model_id

),

spans as (

    select
        models.model_id,
        first_days.first_decision_date,
        least({{ last_matured_date('models') }}, deliveries.known_through) as judged_through
    from models
    left join first_days on models.model_id = first_days.model_id
    left join deliveries on models.model_id = deliveries.model_id

)

select * from spans
