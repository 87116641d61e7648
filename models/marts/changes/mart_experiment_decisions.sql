-- One row per experiment and variant: the latest decision about it, and what a year of it is worth.
with decisions as (

    select * from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

last_days as (

    select
        experiment_id,
        max(as_of) as as_of
    from decisions
    group by experiment_id

),

decision_board as (

    select
        decisions.experiment_id,
        decisions.variant,
        experiments.model_id,
        experiments.hypothesis,
        decisions.decision,
        decisions.reason,
        experiments.owner,
        decisions.primary_metric,
        metrics.direction,
        decisions.method,
        decisions.totals,
        decisions.primary_state,
        decisions.minimum_effect_kind,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        decisions.plan_hash,
        decisions.first_plan_hash,
        decisions.inputs_hash,
        decisions.estimate,
        decisions.decision_low,
        decisions.decision_high,
        decisions.minimum_effect,
        decisions.guardrail_pass_count,
        decisions.guardrail_fail_count,
        decisions.guardrail_unknown_count,
        decisions.units_per_year,
        decisions.lift_value_amount,
        decisions.serving_cost_difference_amount,
        decisions.value_at_stake_amount,
        decisions.value_at_stake_low_amount,
        decisions.value_at_stake_high_amount,
        decisions.is_serving_cost_known,
        decisions.is_complete,
        decisions.has_planned_power,
        decisions.is_extended,
        decisions.plan_hash <> decisions.first_plan_hash as is_plan_changed,
        decisions.decided_at_look,
        decisions.as_of
    from decisions
    inner join last_days
        on decisions.experiment_id = last_days.experiment_id
        and decisions.as_of = last_days.as_of
    inner join experiments on decisions.experiment_id = experiments.experiment_id
    inner join metrics on decisions.primary_metric = metrics.metric

)

select * from decision_board
