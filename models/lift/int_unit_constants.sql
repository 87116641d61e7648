-- One row per experiment: a constant near the mean of each brick's totals, and until when units were exposed that are mature.
-- depends_on: {{ ref('experiment_guardrails') }}
{%- set columns = constant_columns() if execute else [] %}
with totals as {{ not_materialized() }} (

    select * from {{ ref('fct_unit_totals') }}

),

experiments as (

    select * from {{ ref('experiments') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

levels as (

    select
        {%- for column in columns %}
        avg({{ column }}) as {{ column }}_mean,
        avg({{ column }} * {{ column }}) as {{ column }}_square,
        {%- endfor %}
        experiment_id
    from totals
    group by experiment_id

),

constants as (

    select
        {%- for column in columns %}
        {{ shift_constant(column ~ '_mean', column ~ '_square') }} as {{ column }},
        {%- endfor %}
        experiment_id
    from levels

),

units_by_user as (

    select
        experiment_id,
        user_id,
        count(*) as unit_count
    from totals
    where user_id is not null and {{ is_eligible_unit('totals') }}
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

waits as (

    select
        experiments.experiment_id,
        experiments.window_days as days_to_event,
        experiments.window_days + models.label_delay_days as days_to_outcome,
        experiments.window_days + models.label_delay_days + models.horizon_days as days_to_label
    from experiments
    inner join models on experiments.model_id = models.model_id

),

timed as (

    select
        constants.*,
        cast(coalesce(repeats.n_users_repeated, 0) as bigint) as n_users_repeated,
        cast({{ dbt.dateadd('day', '-waits.days_to_event', as_of()) }} as timestamp) as last_exposure_for_event,
        cast({{ dbt.dateadd('day', '-waits.days_to_outcome', as_of()) }} as timestamp) as last_exposure_for_outcome,
        cast({{ dbt.dateadd('day', '-waits.days_to_label', as_of()) }} as timestamp) as last_exposure_for_label
    from constants
    inner join waits on constants.experiment_id = waits.experiment_id
    left join repeats on constants.experiment_id = repeats.experiment_id

)

select * from timed
