-- One row per model, version, segment, segment value and period: how far predicted numbers lay from actual ones.
{%- set sums = {
    'measured_decisions': 'measured_count',
    'squared_error': 'squared_error_sum',
    'actual_number': 'actual_sum',
    'squared_actual_number': 'squared_actual_sum',
} %}
with brick_days as (

    select * from {{ ref('fct_bricks') }}
    where metric_date < {{ as_of_date() }} and brick in ('{{ sums | join("', '") }}')

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

measured as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        {%- for brick, name in sums.items() %}
        sum(case when brick = '{{ brick }}' then amount else 0 end) as {{ name }},
        {%- endfor %}
        metric_date
    from brick_days
    group by model_id, model_version, segment_name, segment_value, metric_date

),

{{ spread_ctes('measured', 'metric_date', [], sums.values() | list) }},

{{ period_ctes(['model_id', 'model_version', 'segment_name', 'segment_value'], sums.values() | list) }},

number_periods as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        sqrt({{ safe_ratio('squared_error_sum', 'measured_count') }}) as rmse,
        -- undefined where all actual numbers are the same
        1 - {{ safe_ratio(
            'squared_error_sum',
            'case when squared_actual_sum - actual_sum * actual_sum / nullif(measured_count, 0) > 1e-12 * squared_actual_sum'
            ~ ' then squared_actual_sum - actual_sum * actual_sum / nullif(measured_count, 0) end'
        ) }} as r2,
        period_end_date
    from periods
    where measured_count > 0

)

select * from number_periods
