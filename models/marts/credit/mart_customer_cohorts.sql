-- One row per month in which customers first bought, and complete month since: who bought again, who left, and what they brought.
{%- set month_end = 'cast(' ~ dbt.last_day('month_start_date', 'month') ~ ' as date)' %}
with outcomes as (

    select
        *,
        coalesce(user_id, entity_id) as customer_id,
        cast({{ dbt.date_trunc('month', 'outcome_date') }} as date) as outcome_month
    from {{ ref('fct_outcomes') }}
    where is_final and is_primary_credit and coalesce(user_id, entity_id) is not null

),

dates as (

    select * from {{ ref('dim_dates') }}

),

watermarks as (

    select min(known_through) as known_through
    from {{ ref('int_watermarks') }}
    where source_name in ('business_outcomes', 'money_outcomes', 'churn_outcomes', 'activation_outcomes')

),

months as (

    select distinct dates.month_start_date
    from dates
    inner join watermarks on {{ month_end }} <= watermarks.known_through

),

-- what happened to a customer, in its order
placed as (

    select
        outcome_id,
        customer_id,
        outcome_kind,
        booked_amount,
        row_number() over (
            partition by customer_id, outcome_kind
            order by outcome_date nulls last, outcome_id nulls last
        ) as place,
        outcome_date,
        outcome_month
    from outcomes
    where outcome_kind in ('money', 'activation') or (outcome_kind = 'churn' and outcome_label = 'true')

),

customers as (

    select
        customer_id,
        outcome_date as first_date,
        outcome_month as cohort_month
    from placed
    where outcome_kind = 'money' and place = 1

),

sizes as (

    select
        cohort_month,
        count(*) as customer_count,
        cohort_month = min(cohort_month) over () as is_left_censored
    from customers
    group by cohort_month

),

activation_days as (

    select
        customers.cohort_month,
        customers.customer_id,
        -- who is not activated comes last
        coalesce({{ dbt.datediff('customers.first_date', 'placed.outcome_date', 'day') }}, 100000) as days_to_activation
    from customers
    left join placed
        on customers.customer_id = placed.customer_id
        and placed.outcome_kind = 'activation'
        and placed.place = 1

),

medians as (

    select
        cohort_month,
        percentile_disc(0.5) within group (order by days_to_activation) as median_days
    from activation_days
    group by cohort_month

),

month_events as (

    select
        customers.cohort_month,
        greatest(placed.outcome_month, customers.cohort_month) as month_start_date,
        count(distinct case when placed.outcome_kind = 'money' then placed.customer_id end) as active_customer_count,
        sum(case when placed.outcome_kind = 'money' then placed.booked_amount else 0 end) as revenue_amount,
        count(case when placed.outcome_kind = 'money' and placed.place = 2 then 1 end) as second_count,
        count(case when placed.outcome_kind = 'churn' and placed.place = 1 then 1 end) as left_count,
        count(case when placed.outcome_kind = 'activation' and placed.place = 1 then 1 end) as activated_count
    from placed
    inner join customers on placed.customer_id = customers.customer_id
    group by customers.cohort_month, greatest(placed.outcome_month, customers.cohort_month)

),

to_date as (

    select
        sizes.cohort_month,
        sizes.customer_count,
        sizes.is_left_censored,
        months.month_start_date,
        coalesce(month_events.active_customer_count, 0) as active_customer_count,
        coalesce(month_events.revenue_amount, 0) as revenue_amount,
        {%- for name, event in [
            ('repeat_customer_count', 'second_count'), ('left_customer_count', 'left_count'),
            ('activated_customer_count', 'activated_count'), ('revenue_to_date_amount', 'revenue_amount'),
        ] %}
        sum(coalesce(month_events.{{ event }}, 0)) over (
            partition by sizes.cohort_month
            order by months.month_start_date nulls last
            rows between unbounded preceding and current row
        ) as {{ name }},
        {%- endfor %}
        case when sizes.customer_count < {{ setting('minimum_cell') }} then 'too_few_units' end as reason
    from sizes
    inner join months on sizes.cohort_month <= months.month_start_date
    left join month_events
        on sizes.cohort_month = month_events.cohort_month
        and months.month_start_date = month_events.month_start_date

),

shares as (

    select
        to_date.*,
        medians.median_days,
        {%- for share, count in [
            ('active', 'active_customer_count'), ('repeat', 'repeat_customer_count'),
            ('left', 'left_customer_count'), ('activated', 'activated_customer_count'),
        ] %}
        case
            when to_date.reason is null then {{ safe_ratio('to_date.' ~ count, 'to_date.customer_count') }}
        end as {{ share }}_share,
        {%- endfor %}
        case
            when to_date.reason is null then {{ safe_ratio('to_date.revenue_to_date_amount', 'to_date.customer_count') }}
        end as revenue_per_customer_amount
    from to_date
    inner join medians on to_date.cohort_month = medians.cohort_month

),

customer_cohorts as (

    select
        cohort_month,
        month_start_date,
        cast({{ dbt.datediff('cohort_month', 'month_start_date', 'month') }} as bigint) as age_months, -- noqa: LT05
        reason,
        cast(customer_count as bigint) as customer_count,
        {%- for name in ['active', 'repeat', 'left', 'activated'] %}
        cast(case when reason is null then {{ name }}_customer_count end as bigint) as {{ name }}_customer_count,
        {{ name }}_share,
        {%- endfor %}
        -- of those not activated yet, nobody knows when: known once half of all are
        cast(case when activated_share >= 0.5 then median_days end as bigint) as median_days_to_activation,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        cast(case when reason is null then revenue_amount end as {{ type_double() }}) as revenue_amount,
        cast(case when reason is null then revenue_to_date_amount end as {{ type_double() }}) as revenue_to_date_amount,
        revenue_per_customer_amount,
        is_left_censored
    from shares

)

select * from customer_cohorts
