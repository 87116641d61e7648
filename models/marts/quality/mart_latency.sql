-- One row per model, version, segment, segment value and period with decisions: how fast it answered, how busy and how reliable it was.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value', 'period', 'period_end_date'] %}
{%- set beside = ['slo_share', 'availability', 'error_rate'] %}
with latency_periods as (

    select * from {{ ref('int_latency_periods') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where metric in ('latency_p95', '{{ beside | join("', '") }}')

),

models as (

    select * from {{ ref('dim_models') }}

),

read_values as (

    select
        {{ cell | join(',\n        ') }},
        {%- for name in beside %}
        max(case when metric = '{{ name }}' then value end) as {{ name }},
        {%- endfor %}
        max(case when metric = 'latency_p95' then coalesce(reason, 'ready') end) as p95_reason
    from metric_values
    group by {{ cell | join(', ') }}

),

-- a version has no day among the values: it may be read where the day of all versions may, and its own rows are enough
gated as (

    select
        latency_periods.*,
        {%- for name in beside %}
        read_values.{{ name }},
        {%- endfor %}
        case
            when coalesce(read_values.p95_reason, days.p95_reason, 'not_read') <> 'ready'
                then coalesce(read_values.p95_reason, days.p95_reason, 'not_read')
            when
                latency_periods.period = 'day'
                and latency_periods.model_version <> 'all'
                and latency_periods.timed_rows < {{ setting('minimum_cell') }}
                then 'too_few_units'
        end as reason
    from latency_periods
    left join read_values
        on latency_periods.model_id = read_values.model_id
        {%- for name in cell[1:] %}
        and latency_periods.{{ name }} = read_values.{{ name }}
        {%- endfor %}
    left join read_values as days
        on latency_periods.model_id = days.model_id
        and latency_periods.period_end_date = days.period_end_date
        and latency_periods.period = 'day'
        and days.period = 'day'
        and days.model_version = 'all'

),

latency as (

    select
        gated.model_id,
        gated.model_version,
        gated.segment_name,
        gated.segment_value,
        gated.period,
        gated.reason,
        case when gated.period = 'day' then 'exact' else 'logarithmic bins' end as percentile_method,
        {%- for name in latency_percentiles() %}
        case when gated.reason is null then gated.{{ name }} end as {{ name }},
        {%- endfor %}
        gated.percentile_error,
        {%- for name in ['decision_count', 'timed_count', 'busiest_hour_count'] %}
        case when gated.reason is null or gated.reason = 'too_few_units' then gated.{{ name }} end as {{ name }},
        {%- endfor %}
        {%- for name in beside %}
        gated.{{ name }},
        {%- endfor %}
        cast(models.latency_slo_ms as {{ type_double() }}) as latency_slo_ms,
        gated.period_start_date,
        gated.period_end_date
    from gated
    inner join models on gated.model_id = models.model_id

)

select * from latency
