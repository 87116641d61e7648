-- One row per experiment and variant: the latest decision about it, and what a year of it is worth.
{%- set has_costs = 'serving_costs' in setting('inputs') %}
with decisions as (

    select * from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

estimates as (

    select * from {{ ref('fct_lift_estimates') }}
    where segment_name = 'all'

),

experiments as (

    select * from {{ ref('experiments') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

metric_days as (

    select * from {{ ref('fct_metrics') }}
    where segment_name = 'all'

),

model_decisions as (

    select * from {{ ref('fct_decisions') }}

),

costs as (

    select * from {{ ref('fct_costs') }}

),

rates as (

    select * from {{ ref('exchange_rates') }}

),

last_days as (

    select
        experiment_id,
        max(as_of) as as_of
    from decisions
    group by experiment_id

),

latest as (

    select decisions.*
    from decisions
    inner join last_days
        on decisions.experiment_id = last_days.experiment_id
        and decisions.as_of = last_days.as_of

),

described as (

    select
        latest.*,
        experiments.model_id,
        experiments.hypothesis,
        experiments.unit_type,
        experiments.owner,
        metrics.direction,
        metrics.denominator_brick is not null as is_ratio,
        {{ in_reporting_currency('experiments.value_per_unit', 'experiments.currency', 'rates.rate') }} as unit_value,
        -- what an effect per uptake is worth depends on how many more will take it up
        case when latest.method <> 'wald' then latest.estimate end as effect,
        {%- for end in ['low', 'high'] %}
        case
            when latest.is_complete and not latest.is_extended and experiments.method not in ('sequential', 'group_sequential')
                then estimates.ci_{{ end }}
            else estimates.sequential_ci_{{ end }}
        end as effect_{{ end }},
        {%- endfor %}
        case metrics.known_after
            when 'label' then models.horizon_days + models.label_delay_days
            when 'outcome' then models.label_delay_days
            else 0
        end as lag_days
    from latest
    inner join experiments on latest.experiment_id = experiments.experiment_id
    inner join metrics on latest.primary_metric = metrics.metric
    inner join models on experiments.model_id = models.model_id
    left join estimates
        on latest.experiment_id = estimates.experiment_id
        and latest.variant = estimates.variant
        and latest.primary_metric = estimates.metric
        and latest.method = estimates.method
        and latest.totals = estimates.totals
        and latest.as_of = estimates.as_of
    left join rates
        on experiments.currency = rates.currency
        and {{ valid_at('rates', 'latest.as_of') }}

),

-- everything turned so that up is good
turned as (

    select
        *,
        case when direction = 'down' then -effect else effect end as gain,
        case
            when method = 'wald' then null
            when minimum_effect_kind = 'absolute' then decision_low
            when direction = 'down' then -effect_high
            else effect_low
        end as gain_low,
        case
            when method = 'wald' then null
            when minimum_effect_kind = 'absolute' then decision_high
            when direction = 'down' then -effect_low
            else effect_high
        end as gain_high
    from described

),

audiences as (

    select distinct
        experiment_id,
        model_id,
        primary_metric,
        unit_type,
        is_ratio,
        cast({{ dbt.dateadd('day', '-28', 'as_of') }} as date) as first_day,
        as_of as end_day,
        cast({{ dbt.dateadd('day', '-28 - lag_days', 'as_of') }} as date) as first_known_day,
        cast({{ dbt.dateadd('day', '-lag_days', 'as_of') }} as date) as end_known_day
    from described

),

eligible_units as (

    select
        audiences.experiment_id,
        cast(count(distinct case audiences.unit_type
            when 'user' then model_decisions.user_id
            when 'entity' then model_decisions.entity_id
            else model_decisions.prediction_id
        end) as {{ type_double() }}) as eligible_unit_count
    from audiences
    inner join model_decisions
        on audiences.model_id = model_decisions.model_id
        and audiences.first_day <= model_decisions.decision_date
        and audiences.end_day > model_decisions.decision_date
    where not audiences.is_ratio
    group by audiences.experiment_id
    union all
    select
        audiences.experiment_id,
        sum(metric_days.denominator) as eligible_unit_count
    from audiences
    inner join metric_days
        on audiences.primary_metric = metric_days.metric
        and audiences.model_id = metric_days.model_id
        and audiences.first_known_day <= metric_days.metric_date
        and audiences.end_known_day > metric_days.metric_date
    where audiences.is_ratio
    group by audiences.experiment_id

),

serving_costs as (

    select
        audiences.experiment_id,
        sum(costs.cost_amount) as cost_amount
    from audiences
    inner join costs
        on audiences.model_id = costs.model_id
        and audiences.first_day <= costs.cost_date
        and audiences.end_day > costs.cost_date
    group by audiences.experiment_id

),

-- a year has thirteen times 28 days
years as (

    select
        turned.*,
        coalesce(eligible_units.eligible_unit_count, 0) as eligible_unit_count,
        13 * coalesce(eligible_units.eligible_unit_count, 0) * turned.unit_value as gain_value,
        {{ '13 * coalesce(serving_costs.cost_amount, 0)' if has_costs else 'cast(null as ' ~ type_double() ~ ')' }} as serving_cost_amount
    from turned
    left join eligible_units on turned.experiment_id = eligible_units.experiment_id
    left join serving_costs on turned.experiment_id = serving_costs.experiment_id

),

decision_board as (

    select
        experiment_id,
        variant,
        model_id,
        hypothesis,
        decision,
        reason,
        owner,
        primary_metric,
        direction,
        method,
        totals,
        primary_state,
        minimum_effect_kind,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        plan_hash,
        first_plan_hash,
        inputs_hash,
        estimate,
        decision_low,
        decision_high,
        minimum_effect,
        guardrail_pass_count,
        guardrail_fail_count,
        guardrail_unknown_count,
        eligible_unit_count,
        cast(gain * gain_value as {{ type_double() }}) as lift_value_amount,
        cast(serving_cost_amount as {{ type_double() }}) as serving_cost_amount,
        cast(gain * gain_value - serving_cost_amount as {{ type_double() }}) as value_at_stake_amount,
        cast(gain_low * gain_value - serving_cost_amount as {{ type_double() }}) as value_at_stake_low_amount,
        cast(gain_high * gain_value - serving_cost_amount as {{ type_double() }}) as value_at_stake_high_amount,
        is_complete,
        has_planned_power,
        is_extended,
        plan_hash <> first_plan_hash as is_plan_changed,
        as_of
    from years

)

select * from decision_board
