-- One row per relation, unit and day of one of its assignments that it recomputes in this build.
with arrived_predictions as (

    select * from {{ ref('int_touched_prediction_logs') }}

),

arrived_usage_events as (

    select * from {{ ref('int_touched_usage_events') }}

),

arrived_feedback as (

    select * from {{ ref('int_touched_feedback') }}

),

arrived_eligible_users as (

    select * from {{ ref('int_touched_eligible_users') }}

),

touched_keys as (

    select * from {{ ref('int_touched_keys') }}

),

touched_decisions as (

    select * from {{ ref('int_touched_decisions') }}

),

eligibility as (

    select * from {{ ref('stg_eligible_users') }}

),

assignments as (

    select * from {{ ref('fct_assignments') }}

),

touched_assignments as (

    select * from {{ ref('int_touched_experiment_assignments') }}

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

-- the rows of facts that can have changed: whose they are, and their days
spans as (

    select touched_key as prediction_id, entity_id, user_id, touched_date as first_date, touched_date as last_date
    from touched_decisions
    union all
    select cast(null as {{ dbt.type_string() }}) as prediction_id, entity_id, user_id, touched_date as first_date, touched_date as last_date
    from touched_keys
    where relation_name = 'fct_outcomes'
    union all
    select prediction_id, entity_id, user_id, cast(event_at as date) as first_date, cast(event_at as date) as last_date
    from arrived_usage_events
    union all
    select
        prediction_id,
        cast(null as {{ dbt.type_string() }}) as entity_id,
        user_id,
        cast(event_at as date) as first_date,
        cast(event_at as date) as last_date
    from arrived_feedback
    union all
    select
        cast(null as {{ dbt.type_string() }}) as prediction_id,
        cast(null as {{ dbt.type_string() }}) as entity_id,
        user_id,
        cast(event_at as date) as first_date,
        cast(ends_at as date) as last_date
    from arrived_eligible_users
    union all
    -- an eligible user has a row of use on every day, so also on those between the two moments
    select
        cast(null as {{ dbt.type_string() }}) as prediction_id,
        cast(null as {{ dbt.type_string() }}) as entity_id,
        user_id,
        cast({{ as_of_span()[0] }} as date) as first_date,
        cast({{ as_of_span()[1] }} as date) as last_date
    from eligibility
    where
        cast(eligible_from as date) <= cast({{ as_of_span()[1] }} as date)
        and (eligible_to is null or cast(eligible_to as date) >= cast({{ as_of_span()[0] }} as date))

),

spans_by_unit as (

    select 'user' as unit_type, user_id as unit_id, first_date, last_date from spans
    union
    select 'entity' as unit_type, entity_id as unit_id, first_date, last_date from spans
    union
    select 'prediction' as unit_type, prediction_id as unit_id, first_date, last_date from spans

),

counted_days as (

    select
        unit_type,
        unit_id,
        assigned_date,
        cast({{ dbt.dateadd('day', '(-covariate_days - label_wait_days)', 'exposed_at') }} as date) as first_date,
        cast({{ dbt.dateadd('day', 'window_days', 'exposed_at') }} as date) as last_date
    from assignments

),

segmenting_rows as (

    select 'user' as unit_type, user_id as unit_id, min(event_at) as predicted_at
    from arrived_predictions
    group by user_id
    union all
    select 'entity' as unit_type, entity_id as unit_id, min(event_at) as predicted_at
    from arrived_predictions
    group by entity_id

),

units as (

    select unit_id, cast(event_at as date) as assigned_date from touched_assignments
    union
    -- the other assignments of a unit or cluster decide how this one counts
    select assignments.unit_id, assignments.assigned_date
    from assignments
    inner join touched_assignments
        on assignments.experiment_id = touched_assignments.experiment_id
        and assignments.unit_id = touched_assignments.unit_id
    union
    select assignments.unit_id, assignments.assigned_date
    from assignments
    inner join touched_clusters
        on assignments.experiment_id = touched_clusters.experiment_id
        and assignments.cluster_id = touched_clusters.cluster_id
    union
    select counted_days.unit_id, counted_days.assigned_date
    from counted_days
    inner join spans_by_unit
        on counted_days.unit_type = spans_by_unit.unit_type
        and counted_days.unit_id = spans_by_unit.unit_id
    where
        -- all that is known of a prediction counts, whatever its date
        counted_days.unit_type = 'prediction'
        or (
            spans_by_unit.first_date <= counted_days.last_date
            and (spans_by_unit.last_date is null or spans_by_unit.last_date >= counted_days.first_date)
        )
    union
    -- the segment of a unit is that of an earlier decision, which may have arrived only now
    select assignments.unit_id, assignments.assigned_date
    from assignments
    inner join segmenting_rows
        on assignments.unit_type = segmenting_rows.unit_type
        and assignments.unit_id = segmenting_rows.unit_id
        and assignments.exposed_at >= segmenting_rows.predicted_at

),

relation_units as (

    select
        'fct_unit_totals' as relation_name,
        unit_id as touched_key,
        assigned_date as touched_date
    from units
    -- a copy that is dated outside these years was rejected
    where
        unit_id is not null
        and assigned_date >= cast('1900-01-01' as date)
        and assigned_date < cast('2200-01-01' as date)

)

select * from relation_units
