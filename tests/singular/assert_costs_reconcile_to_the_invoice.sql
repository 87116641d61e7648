-- Rows are models, types of cost and currencies whose days do not sum to what was invoiced, to the cent.
with costs as (

    select * from {{ ref('stg_serving_costs') }}

),

daily_costs as (

    select * from {{ ref('fct_costs') }}

),

invoiced as (

    select
        model_id,
        cost_type,
        currency,
        sum(amount) as amount
    from costs
    group by model_id, cost_type, currency

),

allocated as (

    select
        model_id,
        cost_type,
        currency,
        sum(invoiced_amount) as amount
    from daily_costs
    group by model_id, cost_type, currency

)

select
    invoiced.model_id,
    invoiced.cost_type,
    invoiced.currency,
    invoiced.amount,
    allocated.amount as allocated_amount
from invoiced
left join allocated
    on invoiced.model_id = allocated.model_id
    and invoiced.cost_type = allocated.cost_type
    and invoiced.currency = allocated.currency
where abs(invoiced.amount - coalesce(allocated.amount, 0)) >= 0.005
