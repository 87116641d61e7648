-- One row per experiment, variant, metric, segment value, pair role and kind of totals: sums that every estimate is made from.
-- depends_on: {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
{%- set estimands = moment_estimands() if execute else [] %}
{%- set variables = moment_variables() %}
{%- set counts = [
    'n_rows', 'n_units', 'n_unclustered', 'n_exposed', 'n_covariate_missing', 'n_immature', 'n_multi', 'n_late', 'n_clusters_shared',
    'n_users_repeated'
] %}
with totals as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }}

),

constants as (

    select * from {{ ref('int_unit_constants') }}

),

caps as (

    select * from {{ ref('int_metric_caps') }}

),

experiment_metrics as (

    select * from {{ ref('int_experiment_metrics') }}

),

segments as (
    {% for segment in ['all'] + setting('segments') %}
    select '{{ segment }}' as segment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- some at a time: a table has only so many columns
{% for chunk in estimands | batch(8) %}
{{ moment_chunk_ctes(loop.index, chunk) }},
{% endfor %}
stacked as (

    {% for chunk in estimands | batch(8) -%}
    select * from chunk_{{ loop.index }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

measured as (

    select
        stacked.*,
        experiment_metrics.definition_hash,
        experiment_metrics.window_from,
        experiment_metrics.window_to
    from stacked
    inner join experiment_metrics
        on stacked.experiment_id = experiment_metrics.experiment_id
        and stacked.metric = experiment_metrics.metric
    left join experiment_metrics as uptake
        on stacked.experiment_id = uptake.experiment_id
        and stacked.uptake_metric = uptake.metric
        and uptake.is_uptake
    where
        experiment_metrics.is_measured
        and (stacked.uptake_metric is null or (experiment_metrics.needs_uptake and uptake.metric is not null))

),

moments as (

    select
        measured.experiment_id,
        measured.variant,
        measured.metric,
        measured.segment_name,
        measured.segment_value,
        measured.pair_role,
        measured.totals,
        measured.definition_hash,
        {%- for count in counts %}
        cast(measured.{{ count }} as bigint) as {{ count }},
        {%- endfor %}
        {%- for variable in variables %}
        measured.k_{{ variable }},
        {%- endfor %}
        {%- for variable in variables %}
        measured.s_{{ variable }},
        {%- endfor %}
        {%- for one, two in pairs_of(['m'] + variables) %}
        measured.s_{{ one }}{{ two }},
        {%- endfor %}
        caps.cap_value,
        measured.window_from,
        measured.window_to,
        {{ as_of_date() }} as as_of
    from measured
    left join caps
        on measured.experiment_id = caps.experiment_id
        and measured.metric = caps.metric
        and measured.totals = 'capped'

)

select * from moments
