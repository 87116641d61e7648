-- One row per model, version, segment, segment value and period: the 95th percentile of its latencies.
with latency_periods as (

    select * from {{ ref('int_latency_periods') }}

),

latency_shapes as (

    select
        'latency_p95' as metric,
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        period_end_date,
        latency_p95 as value,
        cast(null as {{ type_double() }}) as value_low,
        cast(null as {{ type_double() }}) as value_high,
        cast(null as {{ dbt.type_string() }}) as reason
    from latency_periods
    -- a version has no day of its own among the values
    where latency_p95 is not null and (period <> 'day' or model_version = 'all')

)

select * from latency_shapes
