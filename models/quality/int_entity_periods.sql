-- One row per model, version and week or day with decisions: their distinct entities, and the features most of them were made with.
-- depends_on: {{ ref('int_touched_feature_dates') }}
{%- set week = 'cast(' ~ dbt.date_trunc('week', 'decision_date') ~ ' as date)' %}
with decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }} where {{ touched(week) }}

),

dated as {{ not_materialized() }} (

    select
        model_id,
        model_version,
        entity_id,
        label_state,
        feature_set_version,
        {{ week }} as week_start_date,
        decision_date
    from decisions

),

cells as {{ not_materialized() }} (
    {% for version, period, start in [
        ("'all'", 'week', 'week_start_date'), ('model_version', 'week', 'week_start_date'),
        ("'all'", 'day', 'decision_date'), ('model_version', 'day', 'decision_date'),
    ] %}
    select
        model_id,
        {{ version }} as model_version,
        '{{ period }}' as period,
        entity_id,
        -- labels are watched by week alone
        {{ 'label_state' if period == 'week' else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as label_state,
        feature_set_version,
        week_start_date,
        {{ start }} as period_start_date
    from dated
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}

),

entity_counts as (

    select
        model_id,
        model_version,
        period,
        week_start_date,
        period_start_date,
        {{ entity_count() }} as entity_count,
        {{ entity_count("label_state = 'matured'") }} as labelled_entity_count
    from cells
    group by model_id, model_version, period, week_start_date, period_start_date

),

set_counts as (

    select
        model_id,
        model_version,
        period,
        period_start_date,
        feature_set_version,
        count(*) as row_count
    from cells
    where feature_set_version is not null
    group by model_id, model_version, period, period_start_date, feature_set_version

),

ranked_sets as (

    select
        *,
        row_number() over (
            partition by model_id, model_version, period, period_start_date
            order by row_count desc nulls last, feature_set_version asc nulls last
        ) as set_rank
    from set_counts

),

entity_periods as (

    select
        entity_counts.model_id,
        entity_counts.model_version,
        entity_counts.period,
        ranked_sets.feature_set_version,
        cast(entity_counts.entity_count as bigint) as entity_count,
        cast(entity_counts.labelled_entity_count as bigint) as labelled_entity_count,
        entity_counts.week_start_date,
        entity_counts.period_start_date
    from entity_counts
    left join ranked_sets
        on entity_counts.model_id = ranked_sets.model_id
        and entity_counts.model_version = ranked_sets.model_version
        and entity_counts.period = ranked_sets.period
        and entity_counts.period_start_date = ranked_sets.period_start_date
        and ranked_sets.set_rank = 1

)

select * from entity_periods
