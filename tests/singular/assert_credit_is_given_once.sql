-- Months in which the parts of all models differ from the money of outcomes, counted once.
with outcome_credits as (

    select * from {{ ref('fct_outcomes') }}
    where is_final and outcome_kind = 'money' and outcome_amount is not null and outcome_date < {{ as_of_date() }}

),

credit as (

    select * from {{ ref('mart_credit') }}

),

booked as (

    select
        cast({{ dbt.date_trunc('month', 'outcome_date') }} as date) as month_start_date,
        sum(case when is_primary_credit then outcome_amount else 0 end) as amount
    from outcome_credits
    group by cast({{ dbt.date_trunc('month', 'outcome_date') }} as date)

),

parts as (

    select
        month_start_date,
        sum(credited_once_amount) as amount
    from credit
    group by month_start_date

)

select
    booked.month_start_date,
    booked.amount,
    parts.amount as credited_once_amount
from booked
left join parts on booked.month_start_date = parts.month_start_date
where abs(booked.amount - coalesce(parts.amount, 0)) > 1e-9 * (1 + abs(booked.amount))
