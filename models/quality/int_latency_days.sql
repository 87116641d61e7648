-- One row per model, version and day with decisions: the percentiles of its latencies and its busiest hour.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set day = 'model_id, model_version, decision_date' %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date') }}

),

latencies as (

    select
        {{ day }},
        latency_ms,
        sum(sampling_weight) as decision_count,
        count(*) as row_count
    from decisions
    group by {{ day }}, latency_ms

),

hours as (

    select
        {{ day }},
        extract(hour from predicted_at) as day_hour,
        sum(sampling_weight) as decision_count
    from decisions
    group by {{ day }}, extract(hour from predicted_at)

),

-- all versions together, then each
spread_latencies as (

    select model_id, model_version, decision_date, latency_ms, decision_count, row_count from latencies
    union all
    select
        model_id,
        'all' as model_version,
        decision_date,
        latency_ms,
        sum(decision_count) as decision_count,
        sum(row_count) as row_count
    from latencies
    group by model_id, decision_date, latency_ms

),

spread_hours as (

    select model_id, model_version, decision_date, decision_count from hours
    union all
    select
        model_id,
        'all' as model_version,
        decision_date,
        sum(decision_count) as decision_count
    from hours
    group by model_id, decision_date, day_hour

),

cumulated as (

    select
        {{ day }},
        latency_ms,
        decision_count,
        row_count,
        sum(case when latency_ms is not null then decision_count else 0 end) over (
            partition by {{ day }}
            order by latency_ms nulls last
            rows between unbounded preceding and current row
        ) as reached_count,
        sum(case when latency_ms is not null then decision_count else 0 end) over (partition by {{ day }}) as timed_count
    from spread_latencies

),

days as (

    select
        {%- for name, share in latency_percentiles().items() %}
        min(case when {{ reaches_share('reached_count', 'timed_count', share) }} then latency_ms end) as {{ name }},
        {%- endfor %}
        sum(decision_count) as decision_count,
        max(timed_count) as timed_count,
        sum(case when latency_ms is not null then row_count else 0 end) as timed_rows,
        {{ day }}
    from cumulated
    group by {{ day }}

),

busiest_hours as (

    select
        {{ day }},
        max(decision_count) as busiest_hour_count
    from spread_hours
    group by {{ day }}

),

latency_days as (

    select
        days.model_id,
        days.model_version,
        {%- for name in latency_percentiles() %}
        days.{{ name }},
        {%- endfor %}
        cast(days.decision_count as {{ type_double() }}) as decision_count,
        cast(days.timed_count as {{ type_double() }}) as timed_count,
        cast(days.timed_rows as bigint) as timed_rows,
        cast(busiest_hours.busiest_hour_count as {{ type_double() }}) as busiest_hour_count,
        days.decision_date
    from days
    inner join busiest_hours
        on days.model_id = busiest_hours.model_id
        and days.model_version = busiest_hours.model_version
        and days.decision_date = busiest_hours.decision_date

)

select * from latency_days
