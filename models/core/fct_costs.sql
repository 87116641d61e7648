-- One row per model, version, day, type of cost and currency of the invoice.
with costs as (

    select * from {{ ref('stg_serving_costs') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

bounds as (

    select
        cast(min(period_start) as date) as first_day,
        cast(max(period_end) as date) as last_day
    from costs

),

{{ day_ctes('bounds') }},

decisions as (

    select * from {{ ref('fct_decisions') }}

),

-- noqa: disable=LT05
periods as (

    select
        *,
        {{ dbt.datediff('period_start', 'period_end', 'second') }} as period_seconds
    from costs

),

period_days as (

    select
        periods.*,
        days.date_day as cost_date,
        greatest(periods.period_start, cast(days.date_day as timestamp)) as overlap_start,
        least(periods.period_end, cast({{ dbt.dateadd('day', 1, 'days.date_day') }} as timestamp)) as overlap_end
    from periods
    inner join days
        on periods.period_start < cast({{ dbt.dateadd('day', 1, 'days.date_day') }} as timestamp)
        and periods.period_end > cast(days.date_day as timestamp)

),

cost_days as (

    select
        cost_id,
        model_id,
        model_version,
        cost_type,
        currency,
        cost_date,
        -- a period of less than a second lies on one day
        case
            when period_seconds = 0 then amount
            else amount * {{ safe_ratio(dbt.datediff('overlap_start', 'overlap_end', 'second'), 'period_seconds') }}
        end as day_amount
    from period_days

),

version_days as (

    select
        model_id,
        model_version,
        decision_date,
        sum(decision_count) as decision_count
    from decisions
    group by model_id, model_version, decision_date

),

model_days as (

    select
        model_id,
        decision_date,
        sum(decision_count) as decision_count
    from version_days
    group by model_id, decision_date

),

shared_costs as (

    select
        cost_days.model_id,
        coalesce(version_days.model_version, '(none)') as model_version,
        cost_days.cost_type,
        cost_days.currency,
        cost_days.cost_date,
        cost_days.day_amount * coalesce({{ safe_ratio('version_days.decision_count', 'model_days.decision_count') }}, 1) as invoiced_amount
    from cost_days
    left join model_days
        on cost_days.model_id = model_days.model_id
        and cost_days.cost_date = model_days.decision_date
    left join version_days
        on model_days.model_id = version_days.model_id
        and model_days.decision_date = version_days.decision_date
    where cost_days.model_version is null

),

own_costs as (

    select
        model_id,
        model_version,
        cost_type,
        currency,
        cost_date,
        day_amount as invoiced_amount
    from cost_days
    where model_version is not null

),

all_costs as (

    select * from own_costs
    union all
    select * from shared_costs

),

daily_costs as (

    select
        model_id,
        model_version,
        cost_type,
        currency,
        sum(invoiced_amount) as invoiced_amount,
        cost_date
    from all_costs
    group by model_id, model_version, cost_type, currency, cost_date

),

-- each day at its own rate
converted_costs as (

    select
        daily_costs.model_id,
        daily_costs.model_version,
        daily_costs.cost_type,
        daily_costs.currency,
        daily_costs.invoiced_amount,
        {{ in_reporting_currency('daily_costs.invoiced_amount', 'daily_costs.currency', 'rates.rate') }} as cost_amount,
        daily_costs.cost_date
    from daily_costs
    left join rates
        on daily_costs.currency = rates.currency
        and {{ valid_at('rates', 'daily_costs.cost_date') }}

)

select * from converted_costs
