-- Rows are models and types of cost whose days do not sum to what was invoiced, to the cent.
with costs as (

    select * from {{ ref('stg_serving_costs') }}

),

rates as (

    select * from {{ ref('exchange_rates') }}

),

daily_costs as (

    select * from {{ ref('fct_costs') }}

),

invoiced as (

    select
        costs.model_id,
        costs.cost_type,
        sum({{ in_reporting_currency('costs.amount', 'costs.currency', 'rates.rate') }}) as amount
    from costs
    left join rates
        on costs.currency = rates.currency
        and {{ valid_at('rates', 'costs.period_start') }}
    group by costs.model_id, costs.cost_type

),

allocated as (

    select
        model_id,
        cost_type,
        sum(cost_amount) as amount
    from daily_costs
    group by model_id, cost_type

)

select
    invoiced.model_id,
    invoiced.cost_type,
    invoiced.amount,
    allocated.amount as allocated_amount
from invoiced
left join allocated
    on invoiced.model_id = allocated.model_id
    and invoiced.cost_type = allocated.cost_type
where abs(invoiced.amount - coalesce(allocated.amount, 0)) >= 0.005
