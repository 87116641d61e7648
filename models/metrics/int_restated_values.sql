-- One row per model and period whose decisions were worth other amounts under the unit values or exchange rates of the day before it.
{%- set priced = {'at_own_values': ['own_values', 'own_rates'], 'at_earlier_rates': ['own_values', 'earlier_rates'],
    'at_earlier_values': ['earlier_values', 'earlier_value_rates']} %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where confusion_cell is not null

),

unit_values as (

    select * from {{ ref('cfg_unit_values') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

windows as (

    select distinct
        model_id,
        period,
        period_start_date,
        period_end_date,
        cast(previous_end_date as timestamp) as earlier_at
    from {{ ref('int_metric_changes') }}
    where numerator_brick = 'decision_value'

),

changes as (

    select
        model_id,
        valid_from
    from unit_values
    union all
    select
        unit_values.model_id,
        rates.valid_from
    from rates
    inner join unit_values on rates.currency = unit_values.currency

),

changed_windows as (

    select distinct windows.*
    from windows
    inner join changes
        on windows.model_id = changes.model_id
        and changes.valid_from > windows.earlier_at
        and changes.valid_from < cast({{ dbt.dateadd('day', 1, 'windows.period_end_date') }} as timestamp)

),

priced as (

    select
        changed_windows.model_id,
        changed_windows.period,
        {%- for name, (values, rates) in priced.items() %}
        {{ in_reporting_currency('decisions.sampling_weight * ' ~ values ~ '.fixed_amount', values ~ '.currency', rates ~ '.rate') }}
        + {{ values }}.amount_coefficient * coalesce(decisions.credited_amount, 0) as {{ name }},
        {%- endfor %}
        changed_windows.period_end_date
    from changed_windows
    inner join decisions
        on changed_windows.model_id = decisions.model_id
        and decisions.decision_date between changed_windows.period_start_date and changed_windows.period_end_date
    {%- for side, moment in [('own', 'decisions.predicted_at'), ('earlier', 'changed_windows.earlier_at')] %}
    left join unit_values as {{ side }}_values
        on decisions.model_id = {{ side }}_values.model_id
        and decisions.confusion_cell = {{ side }}_values.cell
        and {{ valid_at(side ~ '_values', moment) }}
    {%- endfor %}
    {%- for alias, values, moment in [
        ('own_rates', 'own_values', 'decisions.predicted_at'),
        ('earlier_rates', 'own_values', 'changed_windows.earlier_at'),
        ('earlier_value_rates', 'earlier_values', 'changed_windows.earlier_at'),
    ] %}
    left join rates as {{ alias }}
        on {{ values }}.currency = {{ alias }}.currency
        and {{ valid_at(alias, moment) }}
    {%- endfor %}

),

restated_values as (

    select
        model_id,
        period,
        {%- for name in priced %}
        coalesce(sum({{ name }}), 0) as {{ name }}_amount,
        {%- endfor %}
        period_end_date
    from priced
    group by model_id, period, period_end_date

)

select * from restated_values
