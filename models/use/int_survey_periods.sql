-- One row per model, segment, segment value, survey type and period: questions asked, answered, and the answers on their scale.
{%- set keys = ['model_id', 'segment_name', 'segment_value', 'survey_type'] %}
{%- set sums = ['asked_count', 'answered_count', 'scaled_count', 'scale_share_sum', 'scale_share_square_sum'] %}
with questions as (

    select
        *,
        scale_share as scale_share_sum,
        {{ square('scale_share') }} as scale_share_square_sum
    from {{ ref('fct_feedback') }}
    where asked_date < {{ as_of_date() }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

spread as (

    {% for segment in ['all'] + setting('segments') -%}
    select
        model_id,
        '{{ segment }}' as segment_name,
        {{ "'all'" if segment == 'all' else "coalesce(" ~ segment ~ ", '(unknown)')" }} as segment_value,
        survey_type,
        {{ sums | join(',\n        ') }},
        asked_date as metric_date
    from questions
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

daily as (

    select
        {{ keys | join(', ') }},
        {%- for name in sums %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        metric_date
    from spread
    group by {{ keys | join(', ') }}, metric_date

),

first_days as (

    select
        model_id,
        min(metric_date) as first_date
    from daily
    group by model_id

),

survey_types as (

    select distinct
        model_id,
        survey_type
    from daily

),

cells as (

    select distinct
        model_id,
        segment_name,
        segment_value
    from daily

),

series as (

    select
        cells.model_id,
        cells.segment_name,
        cells.segment_value,
        survey_types.survey_type,
        least(first_days.first_date, spans.first_decision_date) as first_date,
        spans.judged_through,
        false as is_total
    from cells
    inner join survey_types on cells.model_id = survey_types.model_id
    inner join first_days on cells.model_id = first_days.model_id
    inner join spans on cells.model_id = spans.model_id

),

{{ period_ctes(keys, sums) }},

survey_periods as (

    select
        {{ keys | join(', ') }},
        period,
        {{ sums | join(',\n        ') }},
        period_start_date,
        period_end_date
    from periods

)

select * from survey_periods
