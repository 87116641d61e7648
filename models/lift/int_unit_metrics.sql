-- One row per assignment to an experiment and metric that the experiment reads.
-- depends_on: {{ ref('experiments') }}, {{ ref('experiment_guardrails') }}
{%- set governed = lifted_metrics() if execute else [] %}
with totals as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }}

),

experiment_metrics as (

    select * from {{ ref('int_experiment_metrics') }}

),

unit_metrics as (
    {% for metric in governed %}
    select
        totals.experiment_id,
        totals.unit_id,
        totals.variant,
        experiment_metrics.metric,
        totals.cluster_id,
        {%- for segment in setting('segments') %}
        totals.{{ segment }},
        {%- endfor %}
        {{ unit_values_of(metric) }},
        totals.covariate as c,
        totals.variant_number,
        experiment_metrics.is_measured,
        experiment_metrics.is_uptake,
        experiment_metrics.needs_uptake,
        totals.is_multi_exposed,
        totals.is_late,
        totals.is_cluster_shared,
        cast({{ dbt.dateadd('day', 'experiment_metrics.mature_after_days', 'totals.exposed_at') }} as timestamp) as matures_at
    from totals
    inner join experiment_metrics on totals.experiment_id = experiment_metrics.experiment_id
    where experiment_metrics.metric = '{{ metric.name }}'
    {{ 'union all' if not loop.last }}
    {%- else %}
    select * from totals
    {%- endfor %}

),

judged as (

    select
        *,
        case
            when is_multi_exposed and variant_number = 1 then 'multi'
            when is_multi_exposed then 'elsewhere'
            when is_late then 'late'
            when matures_at > {{ as_of() }} then 'immature'
            when y is null or (has_denominator and d is null) then 'missing'
            else 'counted'
        end as state
    from unit_metrics

)

select * from judged
