-- One row per currency and validity: its rate to the reporting currency.
{{ governed_rows('exchange_rates') }}
