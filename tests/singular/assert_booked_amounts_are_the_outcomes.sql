-- Rows are kinds of outcome whose booked money differs from the money delivered, counted once.
with outcome_credits as (

    select * from {{ ref('fct_outcomes') }}

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}
    where coalesce(status, 'final') = 'final'

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

delivered as (

    select
        outcomes.outcome_name,
        sum({{ in_reporting_currency('outcomes.outcome_value', 'outcomes.currency', 'rates.rate') }}) as amount
    from outcomes
    left join rates
        on outcomes.currency = rates.currency
        and {{ valid_at('rates', 'outcomes.occurred_at') }}
    where outcomes.outcome_name not in (
        select outcome_name from {{ ref('cfg_outcome_kinds') }} where kind in ('review_hours', 'quantity')
    )
    group by outcomes.outcome_name

),

booked as (

    select
        outcome_name,
        sum(booked_amount) as amount
    from outcome_credits
    group by outcome_name

)

select
    delivered.outcome_name,
    delivered.amount,
    booked.amount as booked_amount
from delivered
left join booked on delivered.outcome_name = booked.outcome_name
where abs(coalesce(booked.amount, 0) - coalesce(delivered.amount, 0)) > 1e-6 * (1 + abs(coalesce(delivered.amount, 0)))
