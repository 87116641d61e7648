-- One row per experiment, variant, primary or guardrail metric and day: cumulative lift by the estimator that decides.
with estimates as (

    select * from {{ ref('fct_lift_estimates') }}

),

decisions as (

    select * from {{ ref('fct_lift_decisions') }}

),

deciding_days as (

    select
        estimates.experiment_id,
        estimates.variant,
        estimates.metric,
        estimates.as_of,
        estimates.role,
        estimates.direction,
        estimates.method,
        estimates.totals,
        estimates.unit_count_control,
        estimates.unit_count_treatment,
        estimates.mean_control,
        estimates.mean_treatment,
        estimates.estimate,
        estimates.std_error,
        estimates.ci_low,
        estimates.ci_high,
        estimates.sequential_ci_low,
        estimates.sequential_ci_high,
        estimates.relative_lift,
        estimates.guardrail_state,
        estimates.status,
        estimates.reason,
        decisions.decision,
        decisions.reason as decision_reason
    from estimates
    inner join decisions
        on estimates.experiment_id = decisions.experiment_id
        and estimates.variant = decisions.variant
        and estimates.as_of = decisions.as_of
        and estimates.method = decisions.method
        and estimates.totals = decisions.totals
    where estimates.segment_name = 'all' and estimates.role <> 'secondary'

)

select * from deciding_days
