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

told as (

    select
        decisions.experiment_id,
        decisions.primary_metric,
        decisions.as_of = decisions.latest_as_of as is_latest,
        -- a plan without looks is decided by its last unit, one that may be read each day on the day it was read
        case when experiments.method = 'sequential' then decisions.as_of else decisions.decided_at_look end as told_date
    from decisions
    inner join experiments on decisions.experiment_id = experiments.experiment_id
    where
        decisions.primary_state in ('win', 'small')
        and (decisions.is_complete or decisions.decided_at_look is not null or experiments.method = 'sequential')

),

-- what was gained once and is not any more is no gain
gained as (

    select
        experiment_id,
        max(case when is_latest then primary_metric end) as primary_metric,
        min(told_date) as told_date
    from told
    group by experiment_id
    having max(case when is_latest then 1 else 0 end) = 1

),

planned as (

    select
        experiments.experiment_id,
        experiments.model_id,
        experiments.start_date,
        gained.told_date,
        cast({{ dbt.dateadd(
            'day',
            'experiments.window_days + ' ~ days_until_known('metrics.known_after', 'models'),
            'coalesce(experiments.extended_end_date, experiments.planned_end_date)'
        ) }} as date) as last_unit_date
    from gained
    inner join experiments on gained.experiment_id = experiments.experiment_id
    inner join models on experiments.model_id = models.model_id
    inner join metrics on gained.primary_metric = metrics.metric

),

experiment_gains as (

    select
        experiment_id,
        model_id,
        start_date,
        -- the days of the plan where nothing was told before, so that it matters not when the lift was computed
        least(coalesce(told_date, last_unit_date), last_unit_date) as gain_date
    from planned

)

select * from experiment_gains
