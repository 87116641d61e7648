-- One row per experiment, variant, primary or guardrail metric and day: cumulative lift by the estimator that decides.
with estimates as (

    select * from {{ ref('fct_lift_estimates') }}

),

decisions as (

    select * from {{ ref('fct_lift_decisions') }}

),

capped_metrics as (

    select distinct
        experiment_id,
        metric,
        as_of,
        totals
    from estimates
    -- a cap of zero is none
    where totals = 'capped' and coalesce(cap_value, 1) <> 0

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
        {{ shown_mean('estimates', 'control') }} as mean_control,
        {{ shown_mean('estimates', 'treatment') }} as mean_treatment,
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
    left join capped_metrics
        on estimates.experiment_id = capped_metrics.experiment_id
        and estimates.metric = capped_metrics.metric
        and estimates.as_of = capped_metrics.as_of
    where
        estimates.segment_name = 'all'
        and estimates.role <> 'secondary'
        -- by the plan of that day, which may have been another; what is never capped is judged by its raw totals
        and estimates.totals = case coalesce(decisions.decided_on, decisions.totals)
            when 'capped' then coalesce(capped_metrics.totals, 'raw')
            else 'raw'
        end

)

select * from deciding_days
