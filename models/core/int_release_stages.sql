-- One row per model and version with an event of its release: how many days each stage took, and how late it came.
{%- set reached = {
    'concept': 'prototype_at, validation_at, approved_at, deploy_started_at, deployed_at',
    'prototype': 'validation_at, approved_at, deploy_started_at, deployed_at',
    'validation': 'approved_at, deploy_started_at, deployed_at',
    'approved': 'deploy_started_at, deployed_at',
    'deployed': 'least(replaced_at, ended_at), replaced_at',
} %}
with releases as (

    select * from {{ ref('int_releases') }}

),

-- a stage lasts until the next that was reached, else the end, else as_of
dated as (

    select
        *,
        {%- for stage, following in reached.items() %}
        cast({{ stage }}_at as date) as {{ stage }}_date,
        cast(greatest({{ stage }}_at, coalesce({{ following }}, ended_at, {{ as_of() }})) as date) as {{ stage }}_until,
        {%- endfor %}
        cast(planned_at as date) as planned_date,
        cast(coalesce(deployed_at, ended_at, {{ as_of() }}) as date) as came_by
    from releases

),

release_stages as (

    select
        model_id,
        model_version,
        {%- for stage in reached %}
        cast({{ dbt.datediff(stage ~ '_date', stage ~ '_until', 'day') }} as bigint) as {{ stage }}_days, -- noqa: LT05
        {%- endfor %}
        cast({{ dbt.datediff('planned_date', 'came_by', 'day') }} as bigint) as days_late, -- noqa: LT05
        concept_date,
        planned_date
    from dated

)

select * from release_stages
