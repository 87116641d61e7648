-- One row per experiment: a constant near the mean of each brick's totals.
-- depends_on: {{ ref('cfg_experiment_guardrails') }}
{%- set columns = constant_columns() | reject('equalto', 'covariate') | list if execute else [] %}
{%- set nullable = nullable_columns() if execute else [] %}
{%- set counts = ['units'] + nullable %}
{%- set within = 'case when whole.is_clustered then 0 else 2 end' %}
with experiments as (

    select * from {{ ref('cfg_experiments') }}

),

units as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }} where not is_multi_exposed and not is_late

),

days as (

    select
        experiment_id,
        assigned_date,
        count(*) as units,
        {%- for column in nullable %}
        count({{ column }}) as {{ column }},
        {%- endfor %}
        count(cluster_id) as clustered_count,
        count(covariate) as covariate_count,
        sum(covariate) as covariate_sum,
        sum(covariate * covariate) as covariate_square_sum
    from units
    group by experiment_id, assigned_date

),

whole as (

    select
        experiment_id,
        sum(clustered_count) > 0 as is_clustered,
        sum(covariate_sum) / nullif(sum(covariate_count), 0) as covariate_mean,
        sum(covariate_square_sum) / nullif(sum(covariate_count), 0) as covariate_square
    from days
    group by experiment_id

),

shares as (

    select
        days.experiment_id,
        days.assigned_date,
        {%- for count in counts %}
        {{ share_before(count) }} as share_of_{{ count }},
        {%- endfor %}
        whole.is_clustered
    from days
    inner join whole on days.experiment_id = whole.experiment_id

),

-- squares about the mean of a share of all values sum to at most 1 / share times those about the mean of all; a cluster
-- squares the distance of all its units at once
first_days as (

    select
        experiment_id,
        assigned_date
    from shares
    where
        is_clustered
        {%- for count in counts %}
        or share_of_{{ count }} < 0.02
        {%- endfor %}

),

levels as (

    select
        {%- for column in columns %}
        avg(units.{{ column }}) as {{ column }}_mean,
        avg(units.{{ column }} * units.{{ column }}) as {{ column }}_square,
        {%- endfor %}
        units.experiment_id
    from units
    inner join first_days
        on units.experiment_id = first_days.experiment_id
        and units.assigned_date = first_days.assigned_date
    group by units.experiment_id

),

units_by_user as (

    select
        experiment_id,
        user_id,
        count(*) as unit_count
    from units
    where user_id is not null
    group by experiment_id, user_id

),

repeats as (

    select
        experiment_id,
        sum(unit_count) as n_users_repeated
    from units_by_user
    where unit_count > 1
    group by experiment_id

),

constants as (

    select
        experiments.experiment_id,
        {%- for column in columns %}
        coalesce({{ shift_constant('levels.' ~ column ~ '_mean', 'levels.' ~ column ~ '_square', within) }}, 0) as {{ column }},
        {%- endfor %}
        {{ shift_constant('whole.covariate_mean', 'whole.covariate_square', within='0') }} as covariate,
        cast(coalesce(repeats.n_users_repeated, 0) as bigint) as n_users_repeated
    from experiments
    left join whole on experiments.experiment_id = whole.experiment_id
    left join levels on experiments.experiment_id = levels.experiment_id
    left join repeats on experiments.experiment_id = repeats.experiment_id

)

select * from constants
