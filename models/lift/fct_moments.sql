-- One row per experiment, variant, metric, segment value, pair role and kind of totals: sums that every estimate is made from.
-- depends_on: {{ ref('experiments') }}, {{ ref('experiment_guardrails') }}
{%- set readings = moment_readings() if execute else [] %}
{%- set variables = moment_variables() %}
with totals as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }}

),

means as (

    select * from {{ ref('int_unit_means') }}

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
{% for chunk in readings | batch(8) %}
{{ moment_chunk_ctes(loop.index, chunk) }},
{% endfor %}
stacked as (

    {% for chunk in readings | batch(8) -%}
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

spreads as (

    select
        experiment_id,
        metric,
        pair_role,
        {%- for variable in variables %}
        max(mean_{{ variable }}) + sum(s_{{ variable }}) / nullif(sum(n_units), 0) as {{ variable }}_mean,
        sum(s_{{ variable }}) / nullif(sum(n_rows), 0) as {{ variable }}_distance,
        sum(s_{{ variable }}{{ variable }}) / nullif(sum(n_rows), 0) as {{ variable }}_square,
        {%- endfor %}
        max(metric) as of_metric
    from measured
    where segment_name = 'all' and totals = 'raw'
    group by experiment_id, metric, pair_role

),

constants as (

    select
        experiment_id,
        metric,
        pair_role,
        {%- for variable in variables if variable != 'c' %}
        {%- set deviation = 'sqrt(greatest(' ~ variable ~ '_square - power(' ~ variable ~ '_distance, 2), 0))' %}
        {{ shift_constant(variable ~ '_mean', deviation) }} as k_{{ variable }},
        {%- endfor %}
        of_metric
    from spreads

),

-- a covariate that is missing stands at its constant, which is therefore the mean it was taken off
shifted as (

    select
        measured.*,
        {%- for variable in variables %}
        coalesce({{ 'constants.k_' ~ variable if variable != 'c' else 'null' }}, measured.mean_{{ variable }}, 0) as k_{{ variable }},
        {%- endfor %}
        caps.cap_value
    from measured
    left join constants
        on measured.experiment_id = constants.experiment_id
        and measured.metric = constants.metric
        and measured.pair_role = constants.pair_role
    left join caps
        on measured.experiment_id = caps.experiment_id
        and measured.metric = caps.metric
        and measured.totals = 'capped'

),

moments as (

    select
        experiment_id,
        variant,
        metric,
        segment_name,
        segment_value,
        pair_role,
        totals,
        definition_hash,
        {%- for count in ['n_rows', 'n_units', 'n_covariate_missing', 'n_immature', 'n_multi', 'n_late', 'n_clusters_shared'] %}
        cast({{ count }} as bigint) as {{ count }},
        {%- endfor %}
        {%- for variable in variables %}
        k_{{ variable }},
        {%- endfor %}
        {%- for variable in variables %}
        s_{{ variable }} + (mean_{{ variable }} - k_{{ variable }}) * n_units as s_{{ variable }},
        {%- endfor %}
        {%- for one, two in pairs_of(['m'] + variables) %}
        {{ rebased_product(one, two) }} as s_{{ one }}{{ two }},
        {%- endfor %}
        cap_value,
        window_from,
        window_to,
        {{ as_of_date() }} as as_of
    from shifted

)

select * from moments
