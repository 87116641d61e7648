-- One row per experiment, variant, metric, segment, method, totals and day: what changed and how sure that is.
with estimates as (

    select * from {{ ref('fct_lift_estimates') }}

),

decisions as (

    select * from {{ ref('fct_lift_decisions') }}

),

private_segments as (

    select * from {{ ref('int_private_segments') }}

),

judged as (

    select
        estimates.*,
        {{ shown_mean('estimates', 'control') }} as shown_mean_control,
        {{ shown_mean('estimates', 'treatment') }} as shown_mean_treatment,
        estimates.segment_name <> 'all'
        -- variants that were not planned have no decision
        and (decisions.variant is null or private_segments.segment_value is not null) as is_private
    from estimates
    left join decisions
        on estimates.experiment_id = decisions.experiment_id
        and estimates.variant = decisions.variant
        and estimates.as_of = decisions.as_of
    left join private_segments
        on estimates.experiment_id = private_segments.experiment_id
        and estimates.as_of = private_segments.as_of
        and estimates.segment_name = private_segments.segment_name
        and estimates.segment_value = private_segments.segment_value

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
        case when not is_private then unit_count_control end as unit_count_control,
        case when not is_private then unit_count_treatment end as unit_count_treatment,
        case when not is_private then cluster_count_control end as cluster_count_control,
        case when not is_private then cluster_count_treatment end as cluster_count_treatment,
        case when not is_private then excluded_immature_count end as excluded_immature_count,
        case when not is_private then excluded_multi_count end as excluded_multi_count,
        case when not is_private then excluded_late_count end as excluded_late_count,
        case when not is_private then shown_mean_control end as mean_control,
        case when not is_private then shown_mean_treatment end as mean_treatment,
        case when not is_private then estimate end as estimate,
        case when not is_private then std_error end as std_error,
        case when not is_private then degrees_of_freedom end as degrees_of_freedom,
        case when not is_private then ci_low end as ci_low,
        case when not is_private then ci_high end as ci_high,
        case when not is_private then ci_shape end as ci_shape,
        case when not is_private then p_value end as p_value,
        case when not is_private then p_value_adjusted end as p_value_adjusted,
        case when not is_private then relative_lift end as relative_lift,
        case when not is_private then relative_ci_low end as relative_ci_low,
        case when not is_private then relative_ci_high end as relative_ci_high,
        case when not is_private then relative_reason end as relative_reason,
        case when not is_private then variance_reduction end as variance_reduction,
        case when not is_private then cap_value end as cap_value,
        case when not is_private then sequential_ci_low end as sequential_ci_low,
        case when not is_private then sequential_ci_high end as sequential_ci_high,
        case when not is_private then sequential_ni_bound end as sequential_ni_bound,
        margin,
        case when not is_private then ni_bound end as ni_bound,
        case when not is_private then p_non_inferiority end as p_non_inferiority,
        case when not is_private then guardrail_state end as guardrail_state,
        case when not is_private then chance_to_win end as chance_to_win,
        case when not is_private then expected_loss end as expected_loss,
        case when not is_private then minimum_detectable_effect end as minimum_detectable_effect,
        case when not is_private then first_stage_f end as first_stage_f,
        case when not is_private then pre_trend_p_value end as pre_trend_p_value,
        case when not is_private then heterogeneity_p_value end as heterogeneity_p_value,
        case when not is_private then decision_low end as decision_low,
        case when not is_private then decision_high end as decision_high,
        case when not is_private then gain_low end as gain_low,
        case when not is_private then gain_high end as gain_high,
        case when is_private then 'not_ready' else status end as status,
        case when is_private then 'private' else reason end as reason,
        plan_hash,
        definition_hash
    from judged

)

select * from rows_of_experiments
