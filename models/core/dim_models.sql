-- One row per governed model.
with registry as (

    select * from {{ ref('cfg_model_registry') }}

),

unit_values as (

    select distinct model_id from {{ ref('cfg_unit_values') }}

),

models as (

    select
        registry.model_id,
        registry.model_name,
        registry.product,
        registry.task,
        registry.team,
        registry.charter,
        registry.label_outcome,
        {{ normal_label('trim(registry.positive_label)') }} as positive_label,
        coalesce(registry.label_is, 'gain') as label_is,
        registry.amount_outcome,
        registry.baseline_policy,
        registry.baseline_column,
        registry.owner,
        registry.decision_threshold,
        registry.horizon_days,
        registry.label_delay_days,
        registry.latency_slo_ms,
        registry.negative_on_absence,
        coalesce(registry.score_is_probability, false) as score_is_probability,
        coalesce(registry.outcome_depends_on_action, false) as outcome_depends_on_action,
        unit_values.model_id is not null as has_unit_values,
        registry.reference_from,
        registry.reference_to
    from registry
    left join unit_values on registry.model_id = unit_values.model_id

)

select * from models
