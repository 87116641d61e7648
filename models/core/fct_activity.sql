-- One row per user, model, day, segment and segment value in which the user did something.
-- depends_on: {{ ref('int_touched_usage_dates') }}
{%- set logged = adoption_segments()[2:] %}
with usage_days as (

    select * from {{ ref('fct_usage') }}
    where {{ touched('usage_date') }} and event_count > 0

),

{% if logged -%}
usage_events as (

    select * from {{ ref('stg_usage_events') }} where {{ touched('cast(occurred_at as date)') }}

),

predictions as {{ not_materialized() if not is_incremental() }} (

    select * from {{ ref('stg_prediction_logs') }}
    {%- if is_incremental() %}
    where prediction_id in (select prediction_id from usage_events) -- noqa: RF02
    {%- endif %}

),

{% for segment in logged -%}
met_by_{{ segment }} as (

    select
        usage_events.user_id,
        usage_events.model_id,
        '{{ segment }}' as segment_name,
        coalesce(predictions.{{ segment }}, '(unknown)') as segment_value,
        max(case when coalesce(usage_events.is_passive, false) then 0 else 1 end) = 1 as is_active,
        max(case when usage_events.event_name = 'task_completed' then 0 else 1 end) = 1 as is_exposed,
        cast(usage_events.occurred_at as date) as activity_date
    from usage_events
    left join predictions on usage_events.prediction_id = predictions.prediction_id
    group by
        usage_events.user_id,
        usage_events.model_id,
        coalesce(predictions.{{ segment }}, '(unknown)'),
        cast(usage_events.occurred_at as date)

),

{% endfor -%}
{%- endif -%}
activity as (

    {% for segment in adoption_segments(with_total=true) -%}
    {% if segment in logged -%}
    select * from met_by_{{ segment }}
    {%- else -%}
    select
        user_id,
        model_id,
        '{{ segment }}' as segment_name,
        {{ "'all'" if segment == 'all' else "coalesce(" ~ segment ~ ", '(unknown)')" }} as segment_value,
        is_active,
        event_count > task_completed_count as is_exposed,
        usage_date as activity_date
    from usage_days
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from activity
