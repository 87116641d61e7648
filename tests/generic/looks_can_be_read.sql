{% test looks_can_be_read(model, column_name, models) %}
{# Looks that come before the first unit can be mature for the primary metric, so that there is nothing to read. #}
{%- set metrics = metric_unit_types() %}
with metrics as (

    {{ literal_rows(metrics, ['metric', 'known_after']) if metrics else "select '' as metric, '' as known_after" }}

),

{{ part_ctes(model, column_name) }},

lags as (

    select
        experiments.*,
        experiments.window_days + case metrics.known_after
            when 'label' then coalesce(registry.horizon_days, 0) + coalesce(registry.label_delay_days, 0)
            when 'outcome' then coalesce(registry.label_delay_days, 0)
            else 0
        end as lag_days
    from {{ model }} as experiments
    inner join metrics on experiments.primary_metric = metrics.metric
    inner join {{ models }} as registry on experiments.model_id = registry.model_id
    where experiments.method = 'group_sequential'

),

first_days as (

    select
        *,
        cast(cast({{ dbt.dateadd('day', 'lag_days', 'start_date') }} as date) as {{ dbt.type_string() }}) as first_day
    from lags

),

faults as (

    select
        first_days.experiment_id,
        min(parts.part) as part
    from first_days
    inner join parts on first_days.experiment_id = parts.experiment_id
    where parts.part like '____-__-__' and first_days.first_day >= parts.part
    group by first_days.experiment_id

)

select
    first_days.*,
    '{{ column_name }} of ' || first_days.experiment_id || ': ' || faults.part || ' is not after ' || first_days.first_day
    || ', when the first unit can be mature' as what,
    'Write days after start_date, window_days and the days until the metric is known.' as fix
from first_days
inner join faults on first_days.experiment_id = faults.experiment_id
{% endtest %}
