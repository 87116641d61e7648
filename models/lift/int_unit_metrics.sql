-- One row per assignment to an experiment and metric that the experiment reads.
-- depends_on: {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}, {{ ref('int_unit_constants') }}
{%- set read_metrics = lifted_metrics() if execute else [] %}
with totals as {{ not_materialized() }} (

    select
        fct_unit_totals.*,
        {{ unit_maturity('fct_unit_totals') }} as maturity
    from {{ ref('fct_unit_totals') }} as fct_unit_totals

),

experiment_metrics as (

    select * from {{ ref('int_experiment_metrics') }}

),

unit_metrics as (
    {% for metric in read_metrics %}
    {%- set values = unit_values_of(metric) %}
    select
        totals.experiment_id,
        totals.unit_id,
        totals.variant,
        experiment_metrics.metric,
        totals.cluster_id,
        {%- for variable in moment_variables() %}
        {{ 'totals.' ~ values[variable] if variable in values else 'cast(null as ' ~ type_double() ~ ')' }} as {{ variable }},
        {%- endfor %}
        {{ 'true' if metric.denominator else 'false' }} as has_denominator,
        totals.maturity >= {{ maturity_for(metric) }}
        {%- for name in dropped_bricks(metric) %} and totals.{{ name }} is not null{% endfor %} as is_counted
    from totals
    inner join experiment_metrics on totals.experiment_id = experiment_metrics.experiment_id
    where experiment_metrics.metric = '{{ metric.name }}' and experiment_metrics.is_measured
    {{ 'union all' if not loop.last }}
    {%- else %}
    select * from totals
    {%- endfor %}

)

select * from unit_metrics
