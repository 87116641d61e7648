-- Rows are unit values in a currency that has no exchange rate when they begin to hold.
with unit_values as (

    select * from {{ ref('unit_values') }}
    where currency <> '{{ setting("reporting_currency") }}'

),

rates as (

    select * from {{ ref('exchange_rates') }}

)

select
    unit_values.model_id,
    unit_values.cell,
    unit_values.currency,
    unit_values.valid_from
from unit_values
left join rates
    on unit_values.currency = rates.currency
    and {{ valid_at('rates', 'unit_values.valid_from') }}
where rates.rate is null
