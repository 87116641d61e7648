-- One row per model, version, segment, segment value and period: the percentiles of its latencies.
{%- set keys = ['model_id', 'model_version', 'segment_name', 'segment_value', 'bin_number'] %}
{%- set cell = 'model_id, model_version, segment_name, segment_value, period, period_start_date, period_end_date' %}
{%- set percentiles = latency_percentiles() %}
{%- set has_latency = 'bin_number <> ' ~ bin_without_latency() %}
with latency_bins as (

    select * from {{ ref('fct_latency_bins') }}
    where decision_date < {{ as_of_date() }}

),

latency_days as (

    select * from {{ ref('int_latency_days') }}
    where decision_date < {{ as_of_date() }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{{ spread_ctes('latency_bins', 'decision_date', ['bin_number'], ['decision_count', 'row_count']) }},

{{ period_ctes(keys, ['decision_count', 'row_count']) }},

-- days are known exactly
filled_bins as (

    select * from periods
    where period <> 'day' and row_count > 0

),

cumulated as (

    select
        *,
        sum(case when {{ has_latency }} then decision_count else 0 end) over (
            partition by {{ cell }}
            order by bin_number nulls last
            rows between unbounded preceding and current row
        ) as reached_count,
        sum(case when {{ has_latency }} then decision_count else 0 end) over (partition by {{ cell }}) as timed_count
    from filled_bins

),

bins_of_percentiles as (

    select
        {{ cell }},
        {%- for name, share in percentiles.items() %}
        min(
            case when {{ has_latency }} and {{ reaches_share('reached_count', 'timed_count', share) }} then bin_number end
        ) as {{ name }}_bin,
        {%- endfor %}
        sum(decision_count) as decision_count,
        max(timed_count) as timed_count,
        sum(case when {{ has_latency }} then row_count else 0 end) as timed_rows
    from cumulated
    group by {{ cell }}

),

latency_periods as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        {%- for name in percentiles %}
        cast({{ latency_of_edge('(' ~ latency_bin_edge(name ~ '_bin') ~ ')') }} as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        cast({{ latency_bin_error() }} as {{ type_double() }}) as percentile_error,
        decision_count,
        timed_count,
        cast(timed_rows as bigint) as timed_rows,
        cast(null as {{ type_double() }}) as busiest_hour_count,
        period_start_date,
        period_end_date
    from bins_of_percentiles
    union all
    select
        model_id,
        model_version,
        'all' as segment_name,
        'all' as segment_value,
        'day' as period,
        {%- for name in percentiles %}
        {{ name }},
        {%- endfor %}
        cast(0 as {{ type_double() }}) as percentile_error,
        decision_count,
        timed_count,
        timed_rows,
        busiest_hour_count,
        decision_date as period_start_date,
        decision_date as period_end_date
    from latency_days

)

select * from latency_periods
