{% test at_most_core_metrics(model, maximum) %}
{# Products whose models are read by more core metrics than people can watch. #}
{%- set core = core_metric_tasks() %}
with core_metrics as (

    {{ literal_rows(core, ['metric', 'task']) if core else "select '' as metric, '' as task" }}

),

pairs as (

    select distinct
        models.product,
        core_metrics.metric
    from {{ model }} as models
    inner join core_metrics on models.task = core_metrics.task

)

select
    product,
    'product ' || product || ' has ' || count(*) || ' core metrics, more than {{ maximum }}: '
    || {{ ordered_list('metric', ', ', ['metric']) }} as what,
    'Set tier: module in the card of those it can do without.' as fix
from pairs
group by product
having count(*) > {{ maximum }}
{% endtest %}
