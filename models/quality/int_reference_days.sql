-- One row per governed model and day of its reference, with which later days are compared.
with models as (

    select * from {{ ref('dim_models') }}

),

decisions as (

    select * from {{ ref('fct_decisions') }}

),

decision_days as (

    select distinct
        model_id,
        decision_date
    from decisions

),

ranked as (

    select
        decision_days.model_id,
        decision_days.decision_date,
        models.reference_from,
        models.reference_to,
        row_number() over (partition by decision_days.model_id order by decision_days.decision_date nulls last) as day_rank
    from decision_days
    inner join models on decision_days.model_id = models.model_id

),

reference_days as (

    select
        model_id,
        decision_date as reference_date
    from ranked
    where
        case
            when reference_from is null and reference_to is null then day_rank <= 28
            else decision_date >= coalesce(reference_from, decision_date) and decision_date <= coalesce(reference_to, decision_date)
        end

)

select * from reference_days
