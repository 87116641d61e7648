-- One row per release of a model version: its way to production, its gate, and what came of it.
{%- set stages = ['concept', 'prototype', 'validation', 'approved', 'deployed'] %}
with releases as (

    select * from {{ ref('int_releases') }}

),

stages as (

    select * from {{ ref('int_release_stages') }}

),

gates as (

    select
        *,
        sum(case when opened_date is null then 1 else 0 end) over (partition by model_id, model_version, stage) as unopened_count,
        max(opened_date) over (partition by model_id, model_version, stage) as all_opened_date,
        min(flagged_date) over (partition by model_id, model_version, stage) as first_flagged_date,
        -- the metric that decides is the one that stands worst
        row_number() over (
            partition by model_id, model_version, stage
            order by
                case gate_status when 'rollback_recommended' then 1 when 'closed' then 2 when 'not_ready' then 3 else 4 end nulls last,
                clearance_share asc nulls last, metric asc nulls last
        ) as place
    from {{ ref('mart_release_gates') }}
    where is_gate_of_stage

),

changes as (

    select
        *,
        count(*) over (partition by model_id, model_version) as expectation_count,
        row_number() over (
            partition by model_id, model_version
            order by
                case outcome when 'missed' then 1 when 'undecided' then 2 when 'open' then 3 else 4 end nulls last,
                metric asc nulls last, release_id asc nulls last
        ) as place
    from {{ ref('int_release_changes') }}

),

differences as (

    select
        *,
        coalesce(roc_auc_difference, mae_difference, accuracy_difference) as difference,
        coalesce(roc_auc_difference_low, mae_difference_low, accuracy_difference_low) as difference_low,
        coalesce(roc_auc_difference_high, mae_difference_high, accuracy_difference_high) as difference_high
    from {{ ref('int_version_differences') }}
    where period = 'all'

),

worth as (

    select * from {{ ref('int_release_worth') }}

),

evidence as (

    select * from {{ ref('int_model_evidence') }}

),

gains as (

    select * from {{ ref('int_experiment_gains') }}

),

-- an experiment shows what the version is good for that was deployed last when it began
tried as (

    select
        releases.model_id,
        releases.model_version,
        gains.gain_date,
        row_number() over (
            partition by gains.experiment_id
            order by releases.deployed_at desc nulls last, releases.model_version desc nulls last
        ) as place
    from gains
    inner join releases
        on gains.model_id = releases.model_id
        and cast(releases.deployed_at as date) <= gains.start_date
        and coalesce(cast(releases.ended_at as date) > gains.start_date, true)

),

shown as (

    select
        model_id,
        model_version,
        min(gain_date) as lift_shown_date
    from tried
    where place = 1
    group by model_id, model_version

),

gated as (

    select
        *,
        case when unopened_count = 0 then all_opened_date end as gate_opened_date
    from gates
    where place = 1

),

mart_releases as (

    select
        releases.release_id,
        releases.model_id,
        releases.model_version,
        releases.version_before,
        releases.feature_set_version,
        releases.stage,
        releases.trigger,
        releases.reason,
        releases.expected_effect,
        releases.approver,
        releases.gate_stage,
        coalesce(gated.gate_status, 'not_ready') as gate_status,
        case when gated.metric is null then 'no_criteria' else gated.not_ready_reason end as gate_reason,
        gated.metric as gate_metric,
        differences.compared_with,
        case
            when differences.reason is not null then null
            when differences.roc_auc_difference is not null then 'roc_auc'
            when differences.mae_difference is not null then 'mean_absolute_error'
            when differences.accuracy_difference is not null then 'accuracy'
        end as compared_metric,
        case when differences.compared_with is null then 'not_compared' else differences.reason end as compared_reason,
        case when worth.month_value_amount is not null then 'C' end as value_grade,
        case when worth.month_gain_amount is not null then 'D' end as gain_grade,
        evidence.grade as model_evidence_grade,
        changes.metric as expected_metric,
        changes.outcome as expectation_outcome,
        changes.reason as expectation_reason,
        gated.bound as gate_bound,
        gated.value as gate_value,
        gated.value_low as gate_value_low,
        gated.value_high as gate_value_high,
        gated.unit_count as gate_unit_count,
        cast(differences.common_days as bigint) as common_days,
        differences.difference as compared_difference,
        differences.difference_low as compared_difference_low,
        differences.difference_high as compared_difference_high,
        worth.month_value_amount,
        worth.month_gain_amount,
        cast(coalesce(changes.expectation_count, 0) as bigint) as expectation_count,
        changes.expected_low,
        changes.expected_high,
        changes.actual as actual_change,
        changes.actual_low as actual_change_low,
        changes.actual_high as actual_change_high,
        {%- for stage in stages %}
        stages.{{ stage }}_days,
        {%- endfor %}
        stages.days_late,
        cast(releases.failed_deployment_count as bigint) as failed_deployment_count,
        cast({{ dbt.datediff(
            'stages.concept_date',
            'least(coalesce(gated.gate_opened_date, shown.lift_shown_date), coalesce(shown.lift_shown_date, gated.gate_opened_date))',
            'day'
        ) }} as bigint) as time_to_value_days,
        stages.days_late <= 0 as is_on_time,
        releases.is_automated,
        differences.is_randomised,
        stages.planned_date,
        gated.gate_opened_date,
        gated.first_flagged_date as gate_flagged_date,
        shown.lift_shown_date,
        worth.value_month_date,
        releases.concept_at,
        releases.prototype_at,
        releases.validation_at,
        releases.approved_at,
        releases.deployed_at,
        releases.replaced_at,
        releases.rolled_back_at,
        releases.retired_at
    from releases
    inner join stages
        on releases.model_id = stages.model_id
        and releases.model_version = stages.model_version
    left join gated
        on releases.model_id = gated.model_id
        and releases.model_version = gated.model_version
    left join changes
        on releases.model_id = changes.model_id
        and releases.model_version = changes.model_version
        and changes.place = 1
    left join differences
        on releases.model_id = differences.model_id
        and releases.model_version = differences.model_version
    left join worth
        on releases.model_id = worth.model_id
        and releases.model_version = worth.model_version
    left join evidence on releases.model_id = evidence.model_id
    left join shown
        on releases.model_id = shown.model_id
        and releases.model_version = shown.model_version

)

select * from mart_releases
