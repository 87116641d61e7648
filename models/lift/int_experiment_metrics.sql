-- One row per experiment and metric that it reads.
with experiments as (

    select
        *,
        ';' || replace(coalesce(secondary_metrics, ''), ' ', '') || ';' as secondary_list
    from {{ ref('experiments') }}

),

guardrails as (

    select * from {{ ref('experiment_guardrails') }}

),

metrics as (

    select
        *,
        ';' || metric || ';' as list_entry
    from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

read_metrics as (

    select
        experiments.experiment_id,
        experiments.model_id,
        experiments.method,
        experiments.start_date as window_from,
        coalesce(experiments.extended_end_date, experiments.planned_end_date) as window_to,
        cast(experiments.window_days as bigint) as window_days,
        metrics.metric,
        metrics.known_after,
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
        read_metrics.experiment_id,
        read_metrics.metric,
        read_metrics.definition_hash,
        read_metrics.window_days
        + case read_metrics.known_after
            when 'label' then models.horizon_days + models.label_delay_days
            when 'outcome' then models.label_delay_days
            else 0
        end as mature_after_days,
        read_metrics.is_measured,
        read_metrics.is_uptake,
        read_metrics.is_measured and read_metrics.method = 'instrument' as needs_uptake,
        read_metrics.window_from,
        read_metrics.window_to
    from read_metrics
    inner join models on read_metrics.model_id = models.model_id
    where read_metrics.is_measured or read_metrics.is_uptake

)

select * from experiment_metrics
