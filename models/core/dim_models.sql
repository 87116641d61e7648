-- One row per governed model.
with registry as (

    select * from {{ ref('model_registry') }}

),

models as (

    select
        model_id,
        model_name,
        product,
        task,
        team,
        charter,
        label_outcome,
        {{ normal_label('positive_label') }} as positive_label,
        amount_outcome,
        owner,
        decision_threshold,
        horizon_days,
        label_delay_days,
        negative_on_absence,
        reference_from,
        reference_to
    from registry

)

select * from models
