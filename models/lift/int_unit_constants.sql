-- One row per experiment: a constant near the mean of each brick's totals.
-- depends_on: {{ ref('experiments') }}, {{ ref('experiment_guardrails') }}
{%- set columns = constant_columns() if execute else [] %}
{%- set nullable = nullable_columns() if execute else [] %}
with totals as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }}

),

days as (

    select
        experiment_id,
        assigned_date,
        {%- for column in nullable %}
        count({{ column }}) as {{ column }}_count,
        {%- endfor %}
        count(*) as unit_count
    from totals
    group by experiment_id, assigned_date

),

shares as (

    select
        experiment_id,
        assigned_date,
        {%- for column in nullable %}
        {{ share_before(column ~ '_count') }} as {{ column }}_share_before,
        {%- endfor %}
        {{ share_before('unit_count') }} as share_before
    from days

),

-- sums of squares about the mean of a share of all units are at most 1 / share times those about the mean of all
first_days as (

    select
        experiment_id,
        assigned_date
    from shares
    where
        share_before < 0.02
        {%- for column in nullable %}
        or {{ column }}_share_before < 0.02
        {%- endfor %}

),

levels as (

    select
        {%- for column in columns %}
        avg(totals.{{ column }}) as {{ column }}_mean,
        avg(totals.{{ column }} * totals.{{ column }}) as {{ column }}_square,
        {%- endfor %}
        totals.experiment_id
    from totals
    inner join first_days
        on totals.experiment_id = first_days.experiment_id
        and totals.assigned_date = first_days.assigned_date
    group by totals.experiment_id

),

units_by_user as (

    select
        experiment_id,
        user_id,
        count(*) as unit_count
    from totals
    where user_id is not null and not is_multi_exposed and not is_late
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
        levels.experiment_id,
        {%- for column in columns %}
        {#- a unit without the covariate enters at its constant, so that one is never far from the mean #}
        {{ shift_constant(column ~ '_mean', column ~ '_square', within=0 if column == 'covariate' else 4) }} as {{ column }},
        {%- endfor %}
        cast(coalesce(repeats.n_users_repeated, 0) as bigint) as n_users_repeated
    from levels
    left join repeats on levels.experiment_id = repeats.experiment_id

)

select * from constants
