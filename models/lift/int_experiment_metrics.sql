-- One row per experiment and metric that it reads.
with experiments as (

    select
        *,
        ';' || replace(coalesce(secondary_metrics, ''), ' ', '') || ';' as secondary_list
    from {{ ref('cfg_experiments') }}

),

guardrails as (

    select * from {{ ref('cfg_experiment_guardrails') }}

),

metrics as (

    select
        *,
        ';' || metric || ';' as list_entry
    from {{ ref('dim_metrics') }}

),

read_metrics as (

    select
        experiments.experiment_id,
        experiments.method,
        experiments.start_date as window_from,
        coalesce(experiments.extended_end_date, experiments.planned_end_date) as window_to,
        metrics.metric,
        metrics.definition_hash,
        metrics.metric = experiments.primary_metric
        or guardrails.metric is not null
        or {{ dbt.position('metrics.list_entry', 'experiments.secondary_list') }} > 0 as is_measured,
        coalesce(metrics.metric = experiments.uptake_metric, false) as is_uptake
    from experiments
    cross join metrics
    left join guardrails
        on experiments.experiment_id = guardrails.experiment_id
        and metrics.metric = guardrails.metric

),

experiment_metrics as (

    select
        experiment_id,
        metric,
        definition_hash,
        is_measured,
        is_uptake,
        is_measured and method = 'instrument' as needs_uptake,
        window_from,
        window_to
    from read_metrics
    where is_measured or is_uptake

)

select * from experiment_metrics
