-- One row per experiment and metric: what is taken off each unit before squaring, and where totals are capped.
-- depends_on: {{ ref('experiments') }}, {{ ref('experiment_guardrails') }}
{%- set capped = [] %}
{%- for metric in (lifted_metrics() if execute and graph.semantic_models else []) if cap_quantile(metric) is not none %}
    {%- do capped.append(metric) %}
{%- endfor %}
with unit_metrics as {{ not_materialized() }} (

    select * from {{ ref('int_unit_metrics') }} where state = 'counted'

),

spreads as (

    select
        experiment_id,
        metric,
        {%- for variable in moment_variables() %}
        avg({{ variable }}) as {{ variable }}_mean,
        stddev_samp({{ variable }}) as {{ variable }}_deviation,
        {%- endfor %}
        count(*) as unit_count
    from unit_metrics
    group by experiment_id, metric

),

caps as (
    {% for metric in capped %}
    select
        experiment_id,
        metric,
        percentile_disc({{ cap_quantile(metric) }}) within group (order by y) as cap_value
    from unit_metrics
    where metric = '{{ metric.name }}'
    group by experiment_id, metric
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        experiment_id,
        metric,
        cast(null as {{ type_double() }}) as cap_value
    from spreads
    {%- endfor %}

),

constants as (

    select
        spreads.experiment_id,
        spreads.metric,
        {%- for variable in moment_variables() %}
        {{ shift_constant('spreads.' ~ variable ~ '_mean', 'spreads.' ~ variable ~ '_deviation') }} as k_{{ variable }},
        {%- endfor %}
        caps.cap_value
    from spreads
    left join caps
        on spreads.experiment_id = caps.experiment_id
        and spreads.metric = caps.metric

)

select * from constants
