-- One row per release of a model version: its way to production, its gate, and what came of it.
{%- set reached = {
    'concept': 'prototype_at, validation_at, approved_at, deploy_started_at, deployed_at',
    'prototype': 'validation_at, approved_at, deploy_started_at, deployed_at',
    'validation': 'approved_at, deploy_started_at, deployed_at',
    'approved': 'deploy_started_at, deployed_at',
    'deployed': 'least(replaced_at, ended_at), replaced_at',
} %}
with releases as (

    select * from {{ ref('int_releases') }}

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

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where segment_name = 'all' and model_version <> 'all' and value is not null

),

months as (

    select
        *,
        row_number() over (partition by model_id, model_version order by period_end_date desc nulls last) as place
    from metric_values
    where metric = 'value_of_decisions' and period = 'month'

),

rates as (

    select * from metric_values
    where metric = 'value_per_decision' and period = 'all'

),

evidence as (

    select * from {{ ref('int_model_evidence') }}

),

-- a stage lasts until the next that was reached, else the end, else as_of
dated as (

    select
        *,
        {%- for stage, following in reached.items() %}
        cast({{ stage }}_at as date) as {{ stage }}_date,
        cast(greatest({{ stage }}_at, coalesce({{ following }}, ended_at, {{ as_of() }})) as date) as {{ stage }}_until,
        {%- endfor %}
        cast(planned_at as date) as planned_date,
        cast(coalesce(deployed_at, ended_at, {{ as_of() }}) as date) as came_by
    from releases

),

timed as (

    select
        *,
        {%- for stage in reached %}
        {{ dbt.datediff(stage ~ '_date', stage ~ '_until', 'day') }} as {{ stage }}_days, -- noqa: LT05
        {%- endfor %}
        {{ dbt.datediff('planned_date', 'came_by', 'day') }} as days_late
    from dated

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
        timed.release_id,
        timed.model_id,
        timed.model_version,
        timed.version_before,
        timed.feature_set_version,
        timed.stage,
        timed.trigger,
        timed.reason,
        timed.expected_effect,
        timed.approver,
        timed.gate_stage,
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
        case when months.value is not null then 'C' end as value_grade,
        case when (own.value - other.value) * months.unit_count is not null then 'D' end as gain_grade,
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
        months.value as month_value_amount,
        (own.value - other.value) * months.unit_count as month_gain_amount,
        cast(coalesce(changes.expectation_count, 0) as bigint) as expectation_count,
        changes.expected_low,
        changes.expected_high,
        changes.actual as actual_change,
        changes.actual_low as actual_change_low,
        changes.actual_high as actual_change_high,
        {%- for stage in reached %}
        cast(timed.{{ stage }}_days as bigint) as {{ stage }}_days,
        {%- endfor %}
        cast(timed.days_late as bigint) as days_late,
        cast(timed.failed_deployment_count as bigint) as failed_deployment_count,
        cast({{ dbt.datediff('timed.concept_date', 'gated.gate_opened_date', 'day') }} as bigint) as time_to_value_days, -- noqa: LT05
        timed.days_late <= 0 as is_on_time,
        timed.is_automated,
        differences.is_randomised,
        timed.planned_date,
        gated.gate_opened_date,
        gated.first_flagged_date as gate_flagged_date,
        months.period_end_date as value_month_date,
        timed.concept_at,
        timed.prototype_at,
        timed.validation_at,
        timed.approved_at,
        timed.deployed_at,
        timed.replaced_at,
        timed.rolled_back_at,
        timed.retired_at
    from timed
    left join gated
        on timed.model_id = gated.model_id
        and timed.model_version = gated.model_version
    left join changes
        on timed.model_id = changes.model_id
        and timed.model_version = changes.model_version
        and changes.place = 1
    left join differences
        on timed.model_id = differences.model_id
        and timed.model_version = differences.model_version
    left join months
        on timed.model_id = months.model_id
        and timed.model_version = months.model_version
        and months.place = 1
    left join rates as own
        on timed.model_id = own.model_id
        and timed.model_version = own.model_version
    left join rates as other
        on timed.model_id = other.model_id
        and timed.version_before = other.model_version
    left join evidence on timed.model_id = evidence.model_id

)

select * from mart_releases
