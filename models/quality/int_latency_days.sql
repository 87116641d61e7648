-- One row per model, version and day with decisions: the percentiles of its latencies and its busiest hour.
-- depends_on: {{ ref('int_touched_group_dates') }}
{%- set day = 'model_id, model_version, decision_date' %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date') }}

),

latencies as (

    select
        model_id,
        model_version,
        latency_ms,
        extract(hour from predicted_at) as day_hour,
        sum(sampling_weight) as decision_count,
        count(*) as row_count,
        decision_date
    from decisions
    group by model_id, model_version, latency_ms, extract(hour from predicted_at), decision_date

),

-- all versions together, then each
spread as (

    {% for version in ["'all'", 'model_version'] -%}
    select
        model_id,
        {{ version }}{{ ' as model_version' if version != 'model_version' }},
        latency_ms,
        day_hour,
        decision_count,
        row_count,
        decision_date
    from latencies
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

distinct_latencies as (

    select
        {{ day }},
        latency_ms,
        sum(decision_count) as decision_count
    from spread
    where latency_ms is not null
    group by {{ day }}, latency_ms

),

cumulated as (

    select
        {{ day }},
        latency_ms,
        sum(decision_count) over (
            partition by {{ day }}
            order by latency_ms nulls last
            rows between unbounded preceding and current row
        ) as reached_count,
        sum(decision_count) over (partition by {{ day }}) as timed_count
    from distinct_latencies

),

percentiles as (

    select
        {%- for name, share in latency_percentiles().items() %}
        min(case when {{ reaches_share('reached_count', 'timed_count', share) }} then latency_ms end) as {{ name }},
        {%- endfor %}
        {{ day }}
    from cumulated
    group by {{ day }}

),

hours as (

    select
        {{ day }},
        sum(decision_count) as decision_count,
        coalesce(sum(case when latency_ms is not null then decision_count end), 0) as timed_count,
        coalesce(sum(case when latency_ms is not null then row_count end), 0) as timed_rows
    from spread
    group by {{ day }}, day_hour

),

days as (

    select
        {{ day }},
        sum(decision_count) as decision_count,
        sum(timed_count) as timed_count,
        sum(timed_rows) as timed_rows,
        max(decision_count) as busiest_hour_count
    from hours
    group by {{ day }}

),

latency_days as (

    select
        days.model_id,
        days.model_version,
        {%- for name in latency_percentiles() %}
        percentiles.{{ name }},
        {%- endfor %}
        cast(days.decision_count as {{ type_double() }}) as decision_count,
        cast(days.timed_count as {{ type_double() }}) as timed_count,
        cast(days.timed_rows as bigint) as timed_rows,
        cast(days.busiest_hour_count as {{ type_double() }}) as busiest_hour_count,
        days.decision_date
    from days
    left join percentiles
        on days.model_id = percentiles.model_id
        and days.model_version = percentiles.model_version
        and days.decision_date = percentiles.decision_date

)

select * from latency_days
