-- One row per declared experiment, unit and variant it was assigned to.
with assignments as (

    select * from {{ ref('stg_experiment_assignments') }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

exposures as (

    select
        assignments.experiment_id,
        assignments.unit_id,
        assignments.variant,
        experiments.model_id,
        experiments.unit_type,
        assignments.cluster_id,
        assignments.covariate,
        cast(coalesce(experiments.covariate_days, 0) as bigint) as covariate_days,
        experiments.window_days,
        cast(coalesce(models.label_delay_days, 0) as bigint) as outcome_wait_days,
        cast(coalesce(models.horizon_days + models.label_delay_days, 0) as bigint) as label_wait_days,
        experiments.start_date,
        coalesce(experiments.extended_end_date, experiments.planned_end_date) as end_date,
        cast(assignments.assigned_at as date) as assigned_date,
        assignments.assigned_at,
        coalesce(assignments.first_exposed_at, assignments.assigned_at) as exposed_at
    from assignments
    inner join experiments on assignments.experiment_id = experiments.experiment_id
    left join models on experiments.model_id = models.model_id

),

compared as (

    select
        *,
        -- of several variants, the unit is counted with the one it met first
        row_number() over (
            partition by experiment_id, unit_id order by exposed_at nulls last, variant nulls last
        ) as variant_number,
        count(*) over (partition by experiment_id, unit_id) > 1 as is_multi_exposed,
        cast(exposed_at as date) < start_date or cast(exposed_at as date) >= end_date as is_late
    from exposures

),

clustered as (

    select
        *,
        -- a unit that does not count anyway spoils no cluster
        min(case when not is_multi_exposed and not is_late then variant end)
            over (partition by experiment_id, cluster_id)
            as first_variant_of_cluster,
        max(case when not is_multi_exposed and not is_late then variant end)
            over (partition by experiment_id, cluster_id)
            as last_variant_of_cluster
    from compared

),

judged as (

    select
        experiment_id,
        unit_id,
        variant,
        model_id,
        unit_type,
        cluster_id,
        covariate,
        covariate_days,
        window_days,
        label_wait_days,
        variant_number,
        is_multi_exposed,
        is_late,
        cluster_id is not null and coalesce(first_variant_of_cluster <> last_variant_of_cluster, false) as is_cluster_shared,
        assigned_date,
        assigned_at,
        exposed_at,
        cast({{ dbt.dateadd('day', 'window_days', 'exposed_at') }} as timestamp) as event_known_at,
        cast({{ dbt.dateadd('day', 'window_days + outcome_wait_days', 'exposed_at') }} as timestamp) as outcome_known_at,
        cast({{ dbt.dateadd('day', 'window_days + label_wait_days', 'exposed_at') }} as timestamp) as label_known_at
    from clustered

)

select * from judged
