-- One row per model, version, judged period and bin of its scores: the sums of the bin.
{%- set sums = [
    'row_count', 'positive_row_count', 'negative_row_count', 'decision_count', 'matured_count', 'selected_count',
    'positive_count', 'negative_count', 'positive_weight_squares', 'negative_weight_squares', 'score_sum',
    'value_amount', 'valued_count',
    'positive_selected_amount', 'positive_passed_amount', 'negative_selected_amount', 'negative_passed_amount', 'gain_square_sum',
    'explored_count', 'selected_inverse_weight', 'selected_inverse_weight_squares', 'selected_inverse_amount',
    'passed_inverse_weight', 'passed_inverse_weight_squares', 'passed_inverse_amount'
] %}
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where segment_name = 'all'

),

periods as (

    select * from {{ ref('int_judged_periods') }}

),

spread as (

    {% for version in ["'all'", 'model_version'] -%}
    select
        model_id,
        {{ "'all' as " if loop.first }}model_version,
        bin_number,
        {{ sums | join(',\n        ') }},
        decision_date
    from score_bins
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

bin_periods as (

    select
        spread.model_id,
        spread.model_version,
        periods.period,
        spread.bin_number,
        {%- for name in sums %}
        sum(spread.{{ name }}) as {{ name }},
        {%- endfor %}
        periods.period_start_date,
        periods.period_end_date
    from spread
    inner join periods
        on spread.model_id = periods.model_id
        and spread.decision_date >= periods.period_start_date
        and spread.decision_date <= periods.period_end_date
    group by
        spread.model_id, spread.model_version, periods.period, spread.bin_number, periods.period_start_date, periods.period_end_date

)

select * from bin_periods
