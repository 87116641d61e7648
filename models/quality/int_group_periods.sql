-- One row per model, version, protected attribute or pair of them, group, month or all judged days: its sums.
{%- set sums = group_sums() | list %}
{%- set cell = ['model_id', 'model_version', 'attribute', 'group_value', 'other_value'] %}
with group_cells as (

    select * from {{ ref('fct_group_cells') }}
    where decision_date < {{ as_of_date() }}

),

-- those with a class that selects
models as (

    select * from {{ ref('dim_models') }}
    where task in ('binary', 'ranking') or positive_label is not null

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

-- totals, then each version
spread as (

    {{ each_version_and_all('group_cells', cell[2:] + sums) }}

),

periods as (

    select distinct
        spans.model_id,
        'month' as period,
        dates.month_start_date as period_start_date,
        cast({{ dbt.last_day('dates.month_start_date', 'month') }} as date) as period_end_date
    from spans
    inner join models on spans.model_id = models.model_id
    inner join dates on spans.first_decision_date <= dates.date_day
    where cast({{ dbt.last_day('dates.month_start_date', 'month') }} as date) < {{ as_of_date() }}
    union all
    select
        spans.model_id,
        'all' as period,
        spans.first_decision_date as period_start_date,
        spans.judged_through as period_end_date
    from spans
    inner join models on spans.model_id = models.model_id
    where spans.first_decision_date <= spans.judged_through

),

-- every value with every other, and in every period: no row tells by its absence
versions as (

    select distinct
        model_id,
        model_version
    from spread

),

group_values as (

    select distinct
        model_id,
        attribute,
        group_value
    from group_cells

),

other_values as (

    select distinct
        model_id,
        attribute,
        other_value
    from group_cells

),

dense as (

    select
        versions.model_id,
        versions.model_version,
        group_values.attribute,
        group_values.group_value,
        other_values.other_value,
        periods.period,
        periods.period_start_date,
        periods.period_end_date
    from versions
    inner join group_values on versions.model_id = group_values.model_id
    inner join other_values
        on group_values.model_id = other_values.model_id
        and group_values.attribute = other_values.attribute
    inner join periods on versions.model_id = periods.model_id

),

summed as (

    {{ sums_of_periods(cell, sums) }}

),

group_periods as (

    select
        {%- for name in cell %}
        dense.{{ name }},
        {%- endfor %}
        dense.period,
        {%- for name in sums %}
        cast(coalesce(summed.{{ name }}, 0) as {{ sum_type(name) }}) as {{ name }},
        {%- endfor %}
        dense.period_start_date,
        dense.period_end_date
    from dense
    left join summed
        on dense.period = summed.period
        and dense.period_end_date = summed.period_end_date
        {%- for name in cell %}
        and dense.{{ name }} = summed.{{ name }}
        {%- endfor %}

)

select * from group_periods
