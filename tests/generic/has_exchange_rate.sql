{% test has_exchange_rate(model, column_name, since) %}
{# Rows in a currency that has no exchange rate on the day from which they hold. #}
select amounts.*
from {{ model }} as amounts
left join {{ ref('cfg_exchange_rates') }} as rates
    on amounts.{{ column_name }} = rates.currency
    and {{ valid_at('rates', 'amounts.' ~ since) }}
where amounts.{{ column_name }} <> '{{ setting("reporting_currency") }}' and rates.rate is null
{% endtest %}
