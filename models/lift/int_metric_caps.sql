-- One row per experiment and metric whose totals are capped: at what.
-- depends_on: {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
{%- set capped = capped_metrics() if execute else [] %}
with unit_metrics as {{ not_materialized() }} (

    select * from {{ ref('int_unit_metrics') }} where is_counted

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
        y as cap_value
    from unit_metrics
    where 1 = 0
    {%- endfor %}

)

select * from caps
