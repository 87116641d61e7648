-- One row per model, month and type of cost: what was spent, per thousand decisions, and against its budget.
with costs as (

    select * from {{ ref('fct_costs') }}

),

ledger as (

    select * from {{ ref('mart_value_ledger') }}

),

budgets as (

    select * from {{ ref('cfg_cost_budgets') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

daily as (

    select
        model_id,
        cost_type,
        cost_amount,
        cost_date
    from costs
    union all
    select
        model_id,
        'all' as cost_type,
        cost_amount,
        cost_date
    from costs
    union all
    select
        model_id,
        'variable' as cost_type,
        cost_amount,
        cost_date
    from costs
    where
        cost_type in (
            {%- for name in setting('variable_costs') or [''] %}
            '{{ name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )

),

monthly as (

    select
        daily.model_id,
        daily.cost_type,
        sum(daily.cost_amount) as cost_amount,
        dates.month_start_date
    from daily
    inner join dates on daily.cost_date = dates.date_day
    where dates.is_complete
    group by daily.model_id, daily.cost_type, dates.month_start_date

),

types as (

    select distinct
        model_id,
        cost_type
    from monthly
    union
    select distinct
        model_id,
        cost_type
    from budgets

),

month_types as (

    select
        ledger.model_id,
        ledger.model_name,
        types.cost_type,
        ledger.currency,
        ledger.cost_reason,
        ledger.decision_count,
        case when ledger.cost_reason is null then coalesce(monthly.cost_amount, 0) end as cost_amount,
        {{ in_reporting_currency('budgets.monthly_amount', 'budgets.currency', 'rates.rate') }} as budget_amount,
        ledger.is_complete,
        ledger.month_start_date
    from ledger
    inner join types on ledger.model_id = types.model_id
    left join monthly
        on ledger.model_id = monthly.model_id
        and types.cost_type = monthly.cost_type
        and ledger.month_start_date = monthly.month_start_date
    left join budgets
        on ledger.model_id = budgets.model_id
        and types.cost_type = budgets.cost_type
        and {{ valid_at('budgets', 'ledger.month_start_date') }}
    left join rates
        on budgets.currency = rates.currency
        and {{ valid_at('rates', 'ledger.month_start_date') }}

),

model_costs as (

    select
        model_id,
        model_name,
        cost_type,
        currency,
        cost_reason as reason,
        case
            when budget_amount is null then 'no_budget'
            when cost_amount > budget_amount then 'over'
            when cost_amount is null then 'unknown'
            when not is_complete then 'open'
            else 'within'
        end as budget_status,
        decision_count,
        cast(cost_amount as {{ type_double() }}) as cost_amount,
        1000 * {{ safe_ratio('cost_amount', 'decision_count') }} as per_thousand_amount,
        cast(budget_amount as {{ type_double() }}) as budget_amount,
        cast(budget_amount - cost_amount as {{ type_double() }}) as budget_left_amount,
        is_complete,
        month_start_date
    from month_types

)

select * from model_costs
