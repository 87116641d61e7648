-- One row per model, metric and occasion on which it could change: a week, a release or an experiment.
with weekly_changes as (

    select * from {{ ref('int_weekly_changes') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period = '28d' and model_version = 'all' and segment_name = 'all' and status = 'ready'

),

deployments as (

    select distinct
        model_id,
        event_date
    from {{ ref('fct_releases') }}
    where event_type = 'deployed'

),

estimates as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_estimates') }}
    where segment_name = 'all' and totals = 'raw'

),

decisions as (

    select * from {{ ref('fct_lift_decisions') }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

-- the 28 days from a release on against the 28 before it
release_changes as (

    select
        deployments.model_id,
        later_values.metric,
        later_values.value - earlier_values.value as change,
        deployments.event_date
    from deployments
    inner join metric_values as later_values
        on deployments.model_id = later_values.model_id
        and deployments.event_date = later_values.period_start_date
    inner join metric_values as earlier_values
        on later_values.model_id = earlier_values.model_id
        and later_values.metric = earlier_values.metric
        and cast({{ dbt.dateadd('day', -1, 'deployments.event_date') }} as date) = earlier_values.period_end_date

),

-- of an experiment what is beyond noise, by the method that decides
effects as (

    select
        experiments.model_id,
        estimates.metric,
        estimates.experiment_id || '|' || estimates.variant as occasion_id,
        estimates.estimate as change
    from estimates
    inner join decisions
        on estimates.experiment_id = decisions.experiment_id
        and estimates.variant = decisions.variant
        and estimates.as_of = decisions.as_of
        and estimates.method = decisions.method
    inner join experiments on estimates.experiment_id = experiments.experiment_id
    where
        estimates.as_of = estimates.latest_as_of
        and estimates.status = 'ok'
        and (estimates.ci_low > 0 or estimates.ci_high < 0)

),

occasion_changes as (

    select
        model_id,
        metric,
        'week' as occasion,
        cast(week_end_date as {{ dbt.type_string() }}) as occasion_id,
        change
    from weekly_changes
    union all
    select
        model_id,
        metric,
        'release' as occasion,
        cast(event_date as {{ dbt.type_string() }}) as occasion_id,
        change
    from release_changes
    union all
    select
        model_id,
        metric,
        'experiment' as occasion,
        occasion_id,
        change
    from effects

)

select * from occasion_changes
