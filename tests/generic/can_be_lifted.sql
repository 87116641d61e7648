{% test can_be_lifted(model, column_name, role, experiments=none) %}
{# Metrics named in a role of an experiment that they cannot play. Of guardrails, `experiments` says which they guard. #}
{%- set metrics = metric_unit_types() %}
with metrics as (

    {{ literal_rows(metrics, ['metric', 'unit_types', 'direction', 'is_ratio']) if metrics else "select '' as metric, '' as unit_types, '' as direction, false as is_ratio" }}

),

named as (

    select
        rows_named.*,
        {{ 'experiments.unit_type, experiments.method, experiments.primary_metric,' if experiments }}
        metrics.metric as named_metric,
        metrics.unit_types,
        metrics.direction,
        metrics.is_ratio
    from {{ model }} as rows_named
    {%- if experiments %}
    inner join {{ experiments }} as experiments on rows_named.experiment_id = experiments.experiment_id
    {%- endif %}
    inner join metrics on ';' || rows_named.{{ column_name }} || ';' like '%;' || metrics.metric || ';%'

),

judged as (

    select
        *,
        case
            when ', ' || unit_types || ',' not like '%, ' || unit_type || ',%'
                then 'cannot be read per ' || unit_type || ': ' || case unit_types when '' then 'its facts carry no unit' else 'its facts carry ' || unit_types end
            {%- if role in ['primary', 'guardrail'] %}
            when direction = 'zero' then 'has no better side: its direction is zero'
            {%- endif %}
            {%- if role == 'guardrail' %}
            when {{ column_name }} = primary_metric then 'is the primary metric of the experiment'
            {%- endif %}
            {%- if role in ['primary', 'guardrail', 'uptake'] %}
            when method = 'instrument' and is_ratio then 'is a ratio, which an instrument does not take'
            {%- endif %}
        end as fault
    from named

)

select
    *,
    '{{ role }} metric ' || named_metric || ' of ' || experiment_id || ' ' || fault as what,
    'Name another metric.' as fix
from judged
where fault is not null
{% endtest %}
