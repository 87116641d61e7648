-- One row per experiment, variant, metric, segment value, pair role and kind of totals: sums that every estimate is made from.
{%- set variables = moment_variables() %}
{%- set counts = ['n_covariate_missing', 'n_immature', 'n_multi', 'n_late'] %}
{%- set key = ['experiment_id', 'variant', 'metric', 'segment_name', 'segment_value', 'pair_role', 'totals'] %}
with unit_metrics as {{ not_materialized() }} (

    select * from {{ ref('int_unit_metrics') }}

),

constants as (

    select * from {{ ref('int_moment_constants') }}

),

experiment_metrics as (

    select * from {{ ref('int_experiment_metrics') }}

),

readings as (

    select
        constants.*,
        'raw' as totals,
        cast(null as {{ type_double() }}) as cap
    from constants
    union all
    select
        constants.*,
        'capped' as totals,
        cap_value as cap
    from constants
    where cap_value is not null

),

shifted as {{ not_materialized() }} (

    select
        unit_metrics.*,
        coalesce(readings.totals, 'raw') as totals,
        {%- for variable in ['y', 'x', 'e'] %}
        {%- set value = 'unit_metrics.' ~ variable %}
        case when {{ value }} > readings.cap then readings.cap else {{ value }} end - readings.k_{{ variable }} as shifted_{{ variable }},
        {%- endfor %}
        {%- for variable in ['d', 'w', 'c'] %}
        unit_metrics.{{ variable }} - readings.k_{{ variable }} as shifted_{{ variable }},
        {%- endfor %}
        readings.k_c is not null as has_covariate
    from unit_metrics
    left join readings
        on unit_metrics.experiment_id = readings.experiment_id
        and unit_metrics.metric = readings.metric

),

paired as {{ not_materialized() }} (

    select
        experiment_id,
        variant,
        metric,
        case when has_denominator then 'denominator' else 'none' end as pair_role,
        totals,
        cluster_id,
        {%- for segment in setting('segments') %}
        {{ segment }},
        {%- endfor %}
        {%- for variable in variables %}
        shifted_{{ variable }},
        {%- endfor %}
        has_covariate,
        is_cluster_shared,
        state
    from shifted
    where is_measured
    union all
    -- what was used stands in the place of a denominator
    select
        measured.experiment_id,
        measured.variant,
        measured.metric,
        'uptake' as pair_role,
        measured.totals,
        measured.cluster_id,
        {%- for segment in setting('segments') %}
        measured.{{ segment }},
        {%- endfor %}
        measured.shifted_y,
        uptake.shifted_y as shifted_d,
        measured.shifted_x,
        uptake.shifted_x as shifted_w,
        measured.shifted_c,
        measured.shifted_e,
        measured.has_covariate,
        measured.is_cluster_shared,
        case when measured.state = 'counted' then uptake.state else measured.state end as state
    from shifted as measured
    inner join shifted as uptake
        on measured.experiment_id = uptake.experiment_id
        and measured.unit_id = uptake.unit_id
        and measured.variant = uptake.variant
        and uptake.totals = 'raw'
        and uptake.is_uptake
    where measured.needs_uptake and not measured.has_denominator

),

segments as (
    {% for segment in ['all'] + setting('segments') %}
    select '{{ segment }}' as segment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

counted as {{ not_materialized() }} (

    select
        paired.experiment_id,
        paired.variant,
        paired.metric,
        segments.segment_name,
        {{ segment_value('segments', 'paired', setting('segments')) }} as segment_value,
        paired.pair_role,
        paired.totals,
        paired.cluster_id,
        cast(case when paired.state = 'counted' then 1 else 0 end as {{ type_double() }}) as m,
        {%- for variable in variables %}
        case when paired.state = 'counted' then coalesce(paired.shifted_{{ variable }}, 0) else 0 end as {{ variable }},
        {%- endfor %}
        case when paired.state = 'counted' and paired.shifted_c is null and paired.has_covariate then 1 else 0 end as n_covariate_missing,
        {%- for state in ['immature', 'multi', 'late'] %}
        case when paired.state = '{{ state }}' then 1 else 0 end as n_{{ state }},
        {%- endfor %}
        case when paired.is_cluster_shared then 1 else 0 end as n_clusters_shared
    from paired
    cross join segments
    where paired.state <> 'elsewhere'

),

row_units as {{ not_materialized() }} (

    select
        {{ key | join(', ') }},
        m,
        {{ variables | join(', ') }},
        {{ counts | join(', ') }},
        0 as n_clusters_shared
    from counted
    where cluster_id is null
    union all
    select
        {{ key | join(', ') }},
        sum(m) as m,
        {%- for variable in variables %}
        sum({{ variable }}) as {{ variable }},
        {%- endfor %}
        {%- for count in counts %}
        sum({{ count }}) as {{ count }},
        {%- endfor %}
        case when sum(m) > 0 then max(n_clusters_shared) else 0 end as n_clusters_shared
    from counted
    where cluster_id is not null
    group by {{ key | join(', ') }}, cluster_id

),

sums as (

    select
        {{ key | join(', ') }},
        {%- for count in counts + ['n_clusters_shared'] %}
        cast(sum({{ count }}) as bigint) as {{ count }},
        {%- endfor %}
        {{ moment_sums() }}
    from row_units
    group by {{ key | join(', ') }}

),

moments as (

    select
        sums.experiment_id,
        sums.variant,
        sums.metric,
        sums.segment_name,
        sums.segment_value,
        sums.pair_role,
        sums.totals,
        experiment_metrics.definition_hash,
        sums.n_rows,
        sums.n_units,
        {%- for count in counts + ['n_clusters_shared'] %}
        sums.{{ count }},
        {%- endfor %}
        {%- for variable in variables %}
        coalesce({{ {'d': 'uptake.k_y, ', 'w': 'uptake.k_x, '}.get(variable, '') }}constants.k_{{ variable }}, 0) as k_{{ variable }},
        {%- endfor %}
        {%- for variable in variables %}
        sums.s_{{ variable }},
        {%- endfor %}
        {%- for one, two in pairs_of(['m'] + variables) %}
        sums.s_{{ one }}{{ two }},
        {%- endfor %}
        case when sums.totals = 'capped' then constants.cap_value end as cap_value,
        experiment_metrics.window_from,
        experiment_metrics.window_to,
        {{ as_of_date() }} as as_of
    from sums
    inner join experiment_metrics
        on sums.experiment_id = experiment_metrics.experiment_id
        and sums.metric = experiment_metrics.metric
    left join constants
        on sums.experiment_id = constants.experiment_id
        and sums.metric = constants.metric
    left join experiment_metrics as uptake_metrics
        on sums.experiment_id = uptake_metrics.experiment_id
        and uptake_metrics.is_uptake
        and sums.pair_role = 'uptake'
    left join constants as uptake
        on uptake_metrics.experiment_id = uptake.experiment_id
        and uptake_metrics.metric = uptake.metric

)

select * from moments
