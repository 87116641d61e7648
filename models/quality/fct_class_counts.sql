-- One row per model, version, day, segment, segment value and class: how often it was predicted, how often it was right.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set segments = ['all'] + setting('segments') %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where
        label_state = 'matured'
        and predicted_label is not null
        and actual_label is not null
        and {{ touched('decision_date') }}

),

models as (

    select * from {{ ref('dim_models') }}
    where task = 'multiclass'

),

segments as (
    {% for segment in segments %}
    select '{{ segment }}' as segment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- each decision once for the class it names and once for the class it has
sides as (

    {% for side in ['predicted', 'actual'] -%}
    select
        model_id,
        model_version,
        {%- for segment in setting('segments') %}
        coalesce({{ segment }}, '(unknown)') as {{ segment }},
        {%- endfor %}
        {{ side }}_label as class_name,
        {{ 'sampling_weight' if side == 'predicted' else '0' }} as predicted_count,
        {{ 'sampling_weight' if side == 'actual' else '0' }} as actual_count,
        {{ "case when predicted_label = actual_label then sampling_weight else 0 end" if side == 'actual' else '0' }} as correct_count,
        decision_date
    from decisions
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

class_counts as (

    select
        sides.model_id,
        sides.model_version,
        segments.segment_name,
        {{ segment_value('segments', 'sides', setting('segments')) }} as segment_value,
        sides.class_name,
        cast(sum(sides.predicted_count) as {{ type_double() }}) as predicted_count,
        cast(sum(sides.actual_count) as {{ type_double() }}) as actual_count,
        cast(sum(sides.correct_count) as {{ type_double() }}) as correct_count,
        sides.decision_date
    from sides
    inner join models on sides.model_id = models.model_id
    cross join segments
    group by 1, 2, 3, 4, 5, 9

)

select * from class_counts
