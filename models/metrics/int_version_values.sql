-- One row per model, version, metric that releases are judged by, period and its last day: its value with its bounds.
{%- set means = ['prediction_bias', 'mean_absolute_error'] %}
{%- set bounds = {
    'low': ('-', quantile_of_one()), 'high': ('+', quantile_of_one()),
    'least': ('-', quantile_of_gates()), 'most': ('+', quantile_of_gates())
} %}
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where segment_name = 'all' and model_version <> 'all' and period in ('all', '28d')

),

judged_metrics as (

    select metric from {{ ref('cfg_release_criteria') }}
    union
    select metric from {{ ref('cfg_release_expectations') }}

),

number_periods as (

    select * from {{ ref('int_number_periods') }}
    where segment_name = 'all'

),

-- a mean of errors, or of their sizes, scatters as the square of the error tells
scattered as (

    select
        metric_values.*,
        {{ square('number_periods.rmse') }} - {{ square('metric_values.value') }} as variance,
        cast(metric_values.unit_count as {{ type_double() }}) as units
    from metric_values
    inner join judged_metrics on metric_values.metric = judged_metrics.metric
    left join number_periods
        on metric_values.model_id = number_periods.model_id
        {%- for name in ['model_version', 'period', 'period_end_date'] %}
        and metric_values.{{ name }} = number_periods.{{ name }}
        {%- endfor %}
        and metric_values.metric in ('{{ means | join("', '") }}')

),

bounded as (

    select
        model_id,
        model_version,
        metric,
        period,
        reason,
        value,
        {%- for name, (sign, quantile) in bounds.items() %}
        {%- set margin = 'value - value_low' if sign == '-' else 'value_high - value' %}
        case
            when value is null then null
            when effective_units is not null then {{ wilson_bound('value', 'effective_units', sign, quantile) }}
            when value_low is not null
                then value {{ sign }} {{ (quantile | float) / (quantile_of_one() | float) }} * greatest({{ margin }}, 0)
            when units >= 2 and variance is not null
                then value {{ sign }} {{ t_quantile('(units - 1)', quantile | float) }} * sqrt(greatest(variance, 0) / units)
        end as value_{{ name }},
        {%- endfor %}
        unit_count,
        period_end_date
    from scattered

),

version_values as (

    select
        model_id,
        model_version,
        metric,
        period,
        case when reason is null and value_low is null then 'no_interval' else reason end as reason,
        value,
        {%- for name in bounds %}
        value_{{ name }},
        {%- endfor %}
        unit_count,
        period_end_date
    from bounded

)

select * from version_values
