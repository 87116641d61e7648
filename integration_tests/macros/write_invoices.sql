{# The invoices of the platform, as another system writes them. #}
{% macro write_invoices() %}
    create table if not exists {{ target.schema }}.invoices as
    select
        'invoice-1' as cost_id,
        'upsell' as model_id,
        cast('2026-04-01' as timestamp) as period_start,
        cast('2026-07-01' as timestamp) as period_end,
        'compute' as cost_type,
        910.0 as amount,
        'USD' as currency,
        cast('2026-07-01' as timestamp) as loaded_at
{% endmacro %}
