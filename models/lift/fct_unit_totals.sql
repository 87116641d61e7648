-- One row per assignment to an experiment: each brick's total in the unit's window and in its days before.
-- depends_on: {{ ref('fct_decisions') }}
-- depends_on: {{ ref('fct_usage') }}
-- depends_on: {{ ref('fct_outcomes') }}
-- depends_on: {{ ref('fct_feedback') }}
-- depends_on: {{ ref('int_touched_assignment_dates') }}
{%- set facts = unit_facts() if execute else {} %}
{%- set clocks = {'at': 'exposed_at', 'on': 'cast(cast(exposed_at as date) as timestamp)'} %}
with assignments as (

    select * from {{ ref('fct_assignments') }} where {{ touched('assigned_date') }}

),

decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }}

),

units as (

    select
        experiment_id,
        unit_id,
        variant,
        unit_type,
        model_id,
        {%- for clock, exposed in clocks.items() %}
        -- whatever is known of a prediction came after its assignment, whichever clock was ahead
        {%- set begins = "case when unit_type = 'prediction' then cast('1900-01-01' as timestamp) else " ~ exposed ~ " end" %}
        cast({{ dbt.dateadd('day', '-covariate_days', begins) }} as timestamp) as covariate_starts_{{ clock }},
        cast({{ dbt.dateadd('hour', '-12 * covariate_days', begins) }} as timestamp) as covariate_halves_{{ clock }},
        {{ begins }} as exposed_{{ clock }},
        cast({{ dbt.dateadd('day', 'window_days', exposed) }} as timestamp) as window_ends_{{ clock }},
        {%- endfor %}
        cluster_id,
        covariate,
        variant_number,
        is_multi_exposed,
        is_late,
        is_cluster_shared,
        assigned_date,
        exposed_at
    from assignments

),

unit_decisions as {{ not_materialized() }} (
    {% for unit_type, column in {'user': 'user_id', 'entity': 'entity_id', 'prediction': 'prediction_id'}.items() %}
    select
        '{{ unit_type }}' as unit_type,
        {{ column }} as unit_id,
        {%- for segment in setting('segments') %}
        {{ segment }},
        {%- endfor %}
        prediction_id,
        predicted_at
    from decisions
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{% for fact in facts.values() %}
{{ unit_total_ctes(fact) }},
{% endfor %}
latest_moments as (

    select
        assignments.experiment_id,
        assignments.unit_id,
        assignments.variant,
        assignments.unit_type,
        max(unit_decisions.predicted_at) as predicted_at
    from assignments
    inner join unit_decisions
        on assignments.unit_type = unit_decisions.unit_type
        and assignments.unit_id = unit_decisions.unit_id
        and (assignments.unit_type = 'prediction' or assignments.exposed_at >= unit_decisions.predicted_at)
    group by assignments.experiment_id, assignments.unit_id, assignments.variant, assignments.unit_type

),

latest_decisions as (

    select
        latest_moments.experiment_id,
        latest_moments.unit_id,
        latest_moments.variant,
        {%- for segment in setting('segments') %}
        unit_decisions.{{ segment }},
        {%- endfor %}
        row_number() over (
            partition by latest_moments.experiment_id, latest_moments.unit_id, latest_moments.variant
            order by unit_decisions.prediction_id desc nulls last
        ) as decision_rank
    from latest_moments
    inner join unit_decisions
        on latest_moments.unit_type = unit_decisions.unit_type
        and latest_moments.unit_id = unit_decisions.unit_id
        and latest_moments.predicted_at = unit_decisions.predicted_at

),

unit_totals as (

    select
        units.experiment_id,
        units.unit_id,
        units.variant,
        units.cluster_id,
        {%- for segment in setting('segments') %}
        coalesce(latest_decisions.{{ segment }}, '(unknown)') as {{ segment }},
        {%- endfor %}
        {%- for fact in facts.values() %}
        {%- for name, brick in fact.bricks.items() %}
        {%- set total = fact.semantic_model.name ~ '_totals.' ~ name %}
        {{ total if brick.lift.missing == 'drop' else 'coalesce(' ~ total ~ ', 0)' }} as {{ name }},
        coalesce({{ total }}_before, 0) as {{ name }}_before,
        coalesce({{ total }}_just_before, 0) as {{ name }}_just_before,
        {%- endfor %}
        {%- endfor %}
        units.covariate,
        units.variant_number,
        units.is_multi_exposed,
        units.is_late,
        units.is_cluster_shared,
        units.assigned_date,
        units.exposed_at
    from units
    left join latest_decisions
        on units.experiment_id = latest_decisions.experiment_id
        and units.unit_id = latest_decisions.unit_id
        and units.variant = latest_decisions.variant
        and latest_decisions.decision_rank = 1
    {%- for fact in facts.values() %}
    {%- set totals = fact.semantic_model.name ~ '_totals' %}
    left join {{ totals }}
        on units.experiment_id = {{ totals }}.experiment_id
        and units.unit_id = {{ totals }}.unit_id
        and units.variant = {{ totals }}.variant
    {%- endfor %}

)

select * from unit_totals
