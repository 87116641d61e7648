-- One row per relation and day of assignment that it recomputes in this build.
with touched_rows as (

    select * from {{ ref('int_touched_rows') }}

),

touched_dates as (

    select * from {{ ref('int_touched_dates') }}

),

assignments as (

    select * from {{ ref('fct_assignments') }}

),

fact_dates as (

    select distinct touched_date
    from touched_dates
    where relation_name in ('fct_decisions', 'fct_outcomes', 'fct_usage', 'fct_feedback')

),

touched_assignments as (

    select * from touched_rows where table_name = 'experiment_assignments'

),

touched_clusters as (

    select experiment_id, cluster_id from touched_assignments
    union
    -- a unit that was assigned elsewhere no longer counts in its cluster
    select assignments.experiment_id, assignments.cluster_id
    from assignments
    inner join touched_assignments
        on assignments.experiment_id = touched_assignments.experiment_id
        and assignments.unit_id = touched_assignments.unit_id

),

exposure_dates as (

    select distinct
        unit_type,
        assigned_date,
        cast({{ dbt.dateadd('day', '-covariate_days', 'exposed_at') }} as date) as first_date,
        cast({{ dbt.dateadd('day', 'window_days', 'exposed_at') }} as date) as last_date
    from assignments

),

touched_units as (

    select 'user' as unit_type, user_id as unit_id, event_at from touched_rows where table_name = 'prediction_logs'
    union all
    select 'entity' as unit_type, entity_id as unit_id, event_at from touched_rows where table_name = 'prediction_logs'
    union all
    select 'prediction' as unit_type, prediction_id as unit_id, event_at from touched_rows where table_name = 'prediction_logs'

),

dates as (

    select cast(event_at as date) as touched_date from touched_assignments
    union
    -- what a unit or cluster was assigned elsewhere decides how its other assignments count
    select assignments.assigned_date as touched_date
    from assignments
    inner join touched_assignments
        on assignments.experiment_id = touched_assignments.experiment_id
        and assignments.unit_id = touched_assignments.unit_id
    union
    select assignments.assigned_date as touched_date
    from assignments
    inner join touched_clusters
        on assignments.experiment_id = touched_clusters.experiment_id
        and assignments.cluster_id = touched_clusters.cluster_id
    union
    select exposure_dates.assigned_date as touched_date
    from exposure_dates
    inner join fact_dates
        on (exposure_dates.unit_type = 'prediction' or exposure_dates.first_date <= fact_dates.touched_date)
        and exposure_dates.last_date >= fact_dates.touched_date
    union
    -- a decision can be the one that says what segment a unit is of, an earlier one or the unit itself
    select assignments.assigned_date as touched_date
    from assignments
    inner join touched_units
        on assignments.unit_type = touched_units.unit_type
        and assignments.unit_id = touched_units.unit_id
        and (assignments.unit_type = 'prediction' or assignments.exposed_at >= touched_units.event_at)

),

relation_dates as (

    select
        'fct_unit_totals' as relation_name,
        touched_date
    from dates
    where touched_date is not null

)

select * from relation_dates
