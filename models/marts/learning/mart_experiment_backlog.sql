-- One row per experiment that is planned and has not begun: what it could bring, the chance of finding it, and what it takes.
with {{ history_ctes() }},

stakes as (

    select * from {{ ref('int_experiment_stakes') }}
    where variant = '(planned)'

),

costs as (

    select
        model_id,
        sum(cost_amount) / 28.0 as daily_cost_amount
    from {{ ref('fct_costs') }}
    where
        cost_date < {{ as_of_date() }}
        and cost_date >= cast({{ dbt.dateadd('day', -28, as_of_date()) }} as date)
    group by model_id

),

-- who has hoped for too much before is taken at what came of that
optimists as (

    select
        holder as owner,
        greatest(1 + bias, 0) as owner_share
    from {{ ref('mart_forecast_grades') }}
    where expectation_kind = 'all' and holder_type = 'owner' and is_optimistic

),

planned as (

    select
        experiments.*,
        experiments.planned_end_date as end_day,
        stakes.units_per_year,
        stakes.unit_value,
        histories.history_experiment_id,
        histories.level,
        histories.variance,
        case experiments.minimum_effect_kind
            when 'relative' then experiments.minimum_effect * abs(histories.level)
            else experiments.minimum_effect
        end as absolute_effect
    from experiments
    left join stakes on experiments.experiment_id = stakes.experiment_id
    left join histories
        on experiments.experiment_id = histories.experiment_id
        and histories.is_primary
    where experiments.start_date > {{ as_of_date() }}

),

sized as (

    select
        *,
        {{ dbt.datediff('start_date', 'end_day', 'day') }} as planned_days,
        4 * variance * power(quantile_sum / nullif(absolute_effect, 0), 2) as needed_units
    from planned

),

limited as (

    select
        *,
        least(
            units_per_year * planned_days / 365.0,
            coalesce(expected_units, units_per_year * planned_days / 365.0)
        ) as available_units
    from sized

),

distances as (

    select
        *,
        sqrt(available_units / nullif(4 * variance, 0)) * absolute_effect - {{ normal_quantile('1 - alpha / 2') }} as distance
    from limited

),

tails as (

    select
        *,
        {{ normal_p_value('abs(distance)') }} as tail
    from distances

),

chances as (

    select
        tails.*,
        case when tails.distance < 0 then tails.tail / 2 else 1 - tails.tail / 2 end as chance,
        coalesce(optimists.owner_share, 1) as owner_share,
        tails.absolute_effect * tails.unit_value * tails.units_per_year * coalesce(optimists.owner_share, 1) as value_at_stake_amount
    from tails
    left join optimists on tails.owner = optimists.owner

),

backlog as (

    select
        chances.experiment_id,
        chances.model_id,
        chances.owner,
        chances.hypothesis,
        chances.primary_metric,
        chances.history_experiment_id,
        case
            when chances.variance is null then 'no_history'
            when chances.unit_value is null then 'no_unit_value'
            when chances.units_per_year = 0 then 'no_traffic'
        end as unknown_reason,
        chances.minimum_effect,
        chances.minimum_effect_kind,
        cast(chances.available_units as {{ type_double() }}) as available_units,
        cast(ceil(chances.needed_units) as {{ type_double() }}) as needed_units,
        cast(chances.chance as {{ type_double() }}) as chance,
        cast(chances.owner_share as {{ type_double() }}) as owner_share,
        cast(chances.value_at_stake_amount as {{ type_double() }}) as value_at_stake_amount,
        cast(chances.value_at_stake_amount * chances.chance as {{ type_double() }}) as expected_amount,
        cast(costs.daily_cost_amount * chances.planned_days as {{ type_double() }}) as model_cost_amount,
        cast(row_number() over (
            order by chances.value_at_stake_amount * chances.chance desc nulls last, chances.experiment_id
        ) as bigint) as place,
        chances.start_date,
        chances.planned_end_date
    from chances
    left join costs on chances.model_id = costs.model_id

)

select * from backlog
