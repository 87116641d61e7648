-- One row per assignment to an experiment: each brick's total in the unit's window and in its days before.
-- depends_on: {{ ref('fct_decisions') }}
-- depends_on: {{ ref('fct_usage') }}
-- depends_on: {{ ref('fct_outcomes') }}
-- depends_on: {{ ref('fct_feedback') }}
-- depends_on: {{ ref('int_touched_units') }}
-- depends_on: {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
{%- do read_facts() %}
{%- set facts = unit_facts() if execute else {} %}
{%- set begins = unit_days_begin() %}
{%- set clocks = {'at': 'exposed_at', 'on': 'cast(cast(exposed_at as date) as timestamp)'} %}
with assignments as (

    select * from {{ ref('fct_assignments') }} where {{ touched('assigned_date', 'unit_id') }}

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
        -- a label known before exposure is of a decision made so much earlier
        cast({{ dbt.dateadd('day', '(-covariate_days - label_wait_days)', begins) }} as timestamp) as label_covariate_starts_{{ clock }},
        cast({{ dbt.dateadd('hour', '(-12 * covariate_days - 24 * label_wait_days)', begins) }} as timestamp)
            as label_covariate_halves_{{ clock }},
        cast({{ dbt.dateadd('day', '-label_wait_days', begins) }} as timestamp) as label_covariate_ends_{{ clock }},
        {{ begins }} as counted_from_{{ clock }},
        cast({{ dbt.dateadd('day', 'window_days', exposed) }} as timestamp) as window_ends_{{ clock }},
        {%- endfor %}
        cluster_id,
        covariate,
        variant_number,
        is_multi_exposed,
        is_late,
        is_cluster_shared,
        assigned_date,
        exposed_at,
        event_known_at,
        outcome_known_at,
        label_known_at
    from assignments

),

{% for fact in facts.values() %}
{{ unit_total_ctes(fact, begins) }},
{% endfor %}
{{ unit_segment_ctes(begins) }},

unit_totals as (

    select
        units.experiment_id,
        units.unit_id,
        units.variant,
        units.cluster_id,
        -- a cluster says already which units belong together
        case when units.cluster_id is null then unit_segments.user_id end as user_id,
        {%- for segment in setting('segments') %}
        coalesce(unit_segments.{{ segment }}, '(unknown)') as {{ segment }},
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
        units.exposed_at,
        units.event_known_at,
        units.outcome_known_at,
        units.label_known_at
    from units
    left join unit_segments
        on units.experiment_id = unit_segments.experiment_id
        and units.unit_id = unit_segments.unit_id
        and units.variant = unit_segments.variant
    {%- for fact in facts %}
    left join {{ fact }}_totals
        on units.experiment_id = {{ fact }}_totals.experiment_id
        and units.unit_id = {{ fact }}_totals.unit_id
        and units.variant = {{ fact }}_totals.variant
    {%- endfor %}

)

select * from unit_totals
