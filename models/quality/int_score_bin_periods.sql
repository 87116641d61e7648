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

    {{ each_version_and_all('score_bins', ['bin_number'] + sums) }}

),

bin_periods as (

    {{ sums_of_periods(['model_id', 'model_version', 'bin_number'], sums) }}

)

select * from bin_periods
