-- One row per experiment that has shown a gain: when it began, and the day from which on that was known.
with decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

gained as (

    select
        experiment_id,
        primary_metric,
        min(decided_at_look) as decided_at_look
    from decisions
    where as_of = latest_as_of and primary_state in ('win', 'small') and (is_complete or decided_at_look is not null)
    group by experiment_id, primary_metric

),

experiment_gains as (

    select
        experiments.experiment_id,
        experiments.model_id,
        experiments.start_date,
        -- the days of the plan, so that it matters not when the lift was computed
        coalesce(
            gained.decided_at_look,
            cast({{ dbt.dateadd(
                'day',
                'experiments.window_days + ' ~ days_until_known('metrics.known_after', 'models'),
                'coalesce(experiments.extended_end_date, experiments.planned_end_date)'
            ) }} as date)
        ) as gain_date
    from gained
    inner join experiments on gained.experiment_id = experiments.experiment_id
    inner join models on experiments.model_id = models.model_id
    inner join metrics on gained.primary_metric = metrics.metric

)

select * from experiment_gains
