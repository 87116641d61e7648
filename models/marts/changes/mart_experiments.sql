-- One row per experiment, variant, metric, segment, method, totals and day: what changed and how sure that is.
with estimates as (

    select * from {{ ref('fct_lift_estimates') }}

),

rows_of_experiments as (

    select
        experiment_id,
        variant,
        metric,
        segment_name,
        segment_value,
        method,
        totals,
        as_of,
        control_variant,
        role,
        direction,
        unit_count_control,
        unit_count_treatment,
        cluster_count_control,
        cluster_count_treatment,
        excluded_immature_count,
        excluded_multi_count,
        excluded_late_count,
        mean_control,
        mean_treatment,
        estimate,
        std_error,
        degrees_of_freedom,
        ci_low,
        ci_high,
        ci_shape,
        p_value,
        p_value_adjusted,
        relative_lift,
        relative_ci_low,
        relative_ci_high,
        relative_reason,
        variance_reduction,
        cap_value,
        sequential_ci_low,
        sequential_ci_high,
        sequential_ni_bound,
        margin,
        ni_bound,
        p_non_inferiority,
        guardrail_state,
        chance_to_win,
        expected_loss,
        minimum_detectable_effect,
        first_stage_f,
        pre_trend_p_value,
        heterogeneity_p_value,
        decision_low,
        decision_high,
        gain_low,
        gain_high,
        status,
        reason,
        plan_hash,
        definition_hash
    from estimates

)

select * from rows_of_experiments
