-- One row per model, version, day, segment, segment value and bin of latency: its decisions.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set segments = setting('segments') %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date') }}

),

segments as (
    {% for segment in ['all'] + segments %}
    select '{{ segment }}' as segment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

binned as (

    select
        model_id,
        model_version,
        {%- for segment in segments %}
        coalesce({{ segment }}, '(unknown)') as {{ segment }},
        {%- endfor %}
        {{ latency_bin('latency_ms') }} as bin_number,
        sampling_weight,
        decision_date
    from decisions

),

-- once over all segments, which are sums of these
cells as (

    select
        model_id,
        model_version,
        {%- for segment in segments %}
        {{ segment }},
        {%- endfor %}
        bin_number,
        sum(sampling_weight) as decision_count,
        count(*) as row_count,
        decision_date
    from binned
    group by
        {%- for name in ['model_id', 'model_version'] + segments + ['bin_number'] %}
        {{ name }},
        {%- endfor %}
        decision_date

),

spread as (

    select
        cells.model_id,
        cells.model_version,
        segments.segment_name,
        {{ segment_value('segments', 'cells', segments) }} as segment_value,
        cells.bin_number,
        cells.decision_count,
        cells.row_count,
        cells.decision_date
    from cells
    cross join segments

),

latency_bins as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        bin_number,
        cast({{ latency_bin_edge('bin_number') }} as {{ type_double() }}) as lower_edge,
        cast(sum(decision_count) as {{ type_double() }}) as decision_count,
        cast(sum(row_count) as bigint) as row_count,
        decision_date
    from spread
    group by model_id, model_version, segment_name, segment_value, bin_number, decision_date

)

select * from latency_bins
