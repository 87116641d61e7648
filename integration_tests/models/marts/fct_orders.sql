-- One row per order. Finance restates orders: amounts change, rows go and come.
with numbers as (

    select
        generated_number as n,
        {{ dbt.dateadd('minute', 'generated_number * 40', "cast('2026-04-01' as timestamp)") }} as ordered_at
    from {{ ref('numbers') }}
    where generated_number <= {{ 2600 if var('restated') else 2500 }}

),

orders as (

    select
        n as order_id,
        'upsell' as model_id,
        'customer-' || cast(mod(n * 37, 400) as {{ dbt.type_string() }}) as user_id,
        10 + mod(n, 7) + case when mod(n * 37, 400) < 200 and ordered_at >= cast('2026-05-04' as timestamp) then 6 else 0 end as amount,
        ordered_at
    from numbers

)

select
    order_id,
    model_id,
    user_id,
    {% if var('restated') -%}
    case when mod(order_id, 11) = 0 then amount + 5 else amount end as amount,
    {%- else -%}
    amount,
    {%- endif %}
    ordered_at,
    cast(ordered_at as date) as ordered_date
from orders
{%- if var('restated') %}
where mod(order_id, 13) <> 0
{%- endif %}
