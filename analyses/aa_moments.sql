-- One row per experiment, metric and one of 4,096 random groups of its units, the variant: moments for `throughline lift --aa`,
-- which splits the groups into random halves, between which nothing can differ.
with unit_metrics as (

    select * from {{ ref('int_unit_metrics') }} where is_counted

),

moments_in_force as (

    select * from {{ ref('fct_moments') }} where pair_role <> 'uptake'

),

constants as (

    select
        experiment_id,
        {%- for variable in moment_variables() %}
        max(k_{{ variable }}) as k_{{ variable }},
        {%- endfor %}
        metric
    from moments_in_force
    group by experiment_id, metric

),

experiment_metrics as (

    select * from {{ ref('int_experiment_metrics') }}

),

grouped as (

    select
        unit_metrics.experiment_id,
        unit_metrics.metric,
        -- the first three digits of a hash, of sixteen values each
        substring({{ dbt.hash("coalesce(unit_metrics.cluster_id, unit_metrics.unit_id)") }}, 1, 3) as variant,
        unit_metrics.cluster_id,
        case when unit_metrics.has_denominator then 'denominator' else 'none' end as pair_role,
        {%- for variable in moment_variables() %}
        coalesce(unit_metrics.{{ variable }} - constants.k_{{ variable }}, 0) as {{ variable }},
        {%- endfor %}
        cast(1 as {{ type_double() }}) as m
    from unit_metrics
    inner join constants
        on unit_metrics.experiment_id = constants.experiment_id
        and unit_metrics.metric = constants.metric

),

row_units as (

    select
        experiment_id,
        metric,
        variant,
        pair_role,
        {{ moment_variables() | join(', ') }},
        m
    from grouped
    where cluster_id is null
    union all
    select
        experiment_id,
        metric,
        variant,
        pair_role,
        {%- for variable in moment_variables() %}
        sum({{ variable }}) as {{ variable }},
        {%- endfor %}
        sum(m) as m
    from grouped
    where cluster_id is not null
    group by experiment_id, metric, variant, pair_role, cluster_id

),

sums as (

    select
        experiment_id,
        metric,
        variant,
        pair_role,
        {{ moment_sums() }}
    from row_units
    group by experiment_id, metric, variant, pair_role

),

moments as (

    select
        sums.*,
        'all' as segment_name,
        'all' as segment_value,
        'raw' as totals,
        sums.n_rows as n_exposed,
        {%- for count in [
            'n_unclustered', 'n_covariate_missing', 'n_immature', 'n_multi', 'n_late', 'n_clusters_shared', 'n_users_repeated'
        ] %}
        cast(0 as bigint) as {{ count }},
        {%- endfor %}
        {%- for variable in moment_variables() %}
        coalesce(constants.k_{{ variable }}, 0) as k_{{ variable }},
        {%- endfor %}
        cast(null as {{ type_double() }}) as cap_value,
        experiment_metrics.definition_hash,
        experiment_metrics.window_from,
        experiment_metrics.window_to,
        {{ as_of_date() }} as as_of
    from sums
    inner join experiment_metrics
        on sums.experiment_id = experiment_metrics.experiment_id
        and sums.metric = experiment_metrics.metric
    inner join constants
        on sums.experiment_id = constants.experiment_id
        and sums.metric = constants.metric

)

select * from moments
