-- One row per model, version, day, segment, segment value and bin of its scores.
-- depends_on: {{ ref('int_touched_score_dates') }}
{%- set segments = setting('segments') %}
{%- set double = type_double() %}
{%- set has_two_classes = "models.task in ('binary', 'ranking')" %}
{%- set counts = ['row_count', 'positive_row_count', 'negative_row_count'] %}
{%- set sums = {
    'decision_count': 'decision_count',
    'matured_count': 'matured_count',
    'pending_count': 'pending_count',
    'unlabelled_count': 'unlabelled_count',
    'late_label_count': 'late_label_count',
    'selected_count': 'case when is_selected then judged_weight end',
    'positive_count': 'positive_weight',
    'negative_count': 'negative_weight',
    'positive_weight_squares': 'positive_weight * positive_weight',
    'negative_weight_squares': 'negative_weight * negative_weight',
    'score_sum': 'judged_weight * score',
    'squared_error_sum': 'judged_weight * ' ~ square('(score - label)'),
    'log_loss_sum': '-judged_weight * ln(case when label = 1 then clipped_probability else 1 - clipped_probability end)',
    'score_variance': 'judged_weight * judged_weight * probability * (1 - probability)',
    'calibration_residual': 'judged_weight * (1 - 2 * probability) * (label - probability)',
    'calibration_variance':
        'judged_weight * judged_weight * (1 - 2 * probability) * (1 - 2 * probability) * probability * (1 - probability)',
    'credited_amount': 'credited_amount',
    'value_amount': 'value_amount',
    'valued_count': 'valued_weight',
    'positive_selected_amount': 'valued_weight * label * selected_value',
    'positive_passed_amount': 'valued_weight * label * passed_value',
    'negative_selected_amount': 'valued_weight * (1 - label) * selected_value',
    'negative_passed_amount': 'valued_weight * (1 - label) * passed_value',
    'gain_square_sum': 'valued_weight * valued_weight * ' ~ square('(selected_value - passed_value)'),
    'explored_count': 'case when inverse_propensity is not null then decision_count end',
    'selected_inverse_weight': 'case when is_selected then decision_count * inverse_propensity end',
    'selected_inverse_weight_squares':
        'case when is_selected then ' ~ square('(decision_count * inverse_propensity)') ~ ' end',
    'selected_inverse_amount': 'case when is_selected then value_amount * inverse_propensity end',
    'passed_inverse_weight': 'case when not is_selected then decision_count * inverse_propensity end',
    'passed_inverse_weight_squares':
        'case when not is_selected then ' ~ square('(decision_count * inverse_propensity)') ~ ' end',
    'passed_inverse_amount': 'case when not is_selected then value_amount * inverse_propensity end',
} %}
{#- a decision finds its bin among a few, in a group found among a few: one by one it would be compared a hundred times -#}
{%- set bins_per_group = 10 %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date', score_day_key()) }}

),

models as (

    select * from {{ ref('dim_models') }}

),

edges as (

    select * from {{ ref('int_score_edges') }}

),

unit_values as (

    select * from {{ ref('cfg_unit_values') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

-- no number is as large as NaN, in every engine
bins as (

    select
        *,
        floor((bin_number - 1) / {{ bins_per_group }}) as group_number,
        coalesce(lower_edge, cast('-Infinity' as {{ double }})) as lower_bound,
        coalesce(upper_edge, cast('NaN' as {{ double }})) as upper_bound
    from edges
    where not is_missing and not is_point_mass

),

bin_groups as (

    select
        model_id,
        group_number,
        min(lower_bound) as lower_bound,
        max(upper_bound) as upper_bound
    from bins
    group by model_id, group_number

),

point_masses as (

    select * from edges
    where is_point_mass

),

-- what a decision of either kind is worth on a day, selected or passed by
{{ cell_value_ctes() }},

binned as (

    select
        decisions.model_id,
        coalesce(decisions.model_version, '(none)') as model_version,
        {%- for segment in segments %}
        coalesce(decisions.{{ segment }}, '(unknown)') as {{ segment }},
        {%- endfor %}
        coalesce(point_masses.bin_number, bins.bin_number, 0) as bin_number,
        decisions.decision_count,
        decisions.matured_count,
        decisions.pending_count,
        decisions.unlabelled_count,
        decisions.late_label_count,
        case when {{ has_two_classes }} then decisions.actual_positive_count else 0 end as positive_weight,
        case when {{ has_two_classes }} then decisions.matured_count - decisions.actual_positive_count else 0 end
            as negative_weight,
        case when {{ has_two_classes }} and bins.bin_number is not null then decisions.matured_count else 0 end
            as judged_weight,
        case when bins.bin_number is not null then decisions.score end as score,
        case when decisions.actual_positive_count > 0 then 1 else 0 end as label,
        case when models.score_is_probability and bins.bin_number is not null then least(greatest(decisions.score, 0), 1) end
            as probability,
        decisions.credited_amount,
        decisions.value_amount,
        {%- for cell in ['tp', 'fp', 'fn', 'tn'] %}
        cell_values.{{ cell }}_amount
        + cell_values.{{ cell }}_coefficient * coalesce(decisions.credited_amount / decisions.sampling_weight, 0) as {{ cell }}_value,
        {%- endfor %}
        case
            when decisions.propensity < 1 and decisions.value_amount is not null and bins.bin_number is not null
                then 1 / decisions.propensity
        end as inverse_propensity,
        decisions.confusion_cell in ('tp', 'fp') as is_selected,
        decisions.decision_date
    from decisions
    inner join models on decisions.model_id = models.model_id
    left join bin_groups
        on decisions.model_id = bin_groups.model_id
        and decisions.score >= bin_groups.lower_bound
        and decisions.score < bin_groups.upper_bound
    left join bins
        on bin_groups.model_id = bins.model_id
        and bin_groups.group_number = bins.group_number
        and decisions.score >= bins.lower_bound
        and decisions.score < bins.upper_bound
    left join point_masses
        on decisions.model_id = point_masses.model_id
        and decisions.score = point_masses.lower_edge
    left join cell_values
        on decisions.model_id = cell_values.model_id
        and decisions.decision_date = cell_values.date_day

),

weighed as (

    select
        *,
        least(greatest(probability, 1e-15), 1 - 1e-15) as clipped_probability,
        case when label = 1 then tp_value else fp_value end as selected_value,
        case when label = 1 then fn_value else tn_value end as passed_value,
        case
            when tp_value is not null and fp_value is not null and fn_value is not null and tn_value is not null then judged_weight else 0
        end as valued_weight
    from binned

),

score_sums as (

    select
        model_id,
        case when grouping(model_version) = 1 then 'all' else model_version end as model_version,
        case
            {%- for segment in segments %}
            when grouping({{ segment }}) = 0 then '{{ segment }}'
            {%- endfor %}
            when grouping(bin_number) = 0 then 'all'
        end as segment_name,
        case
            {%- for segment in segments %}
            when grouping({{ segment }}) = 0 then {{ segment }}
            {%- endfor %}
            when grouping(bin_number) = 0 then 'all'
        end as segment_value,
        cast(bin_number as bigint) as bin_number,
        count(*) as row_count,
        count(case when positive_weight > 0 then 1 end) as positive_row_count,
        count(case when negative_weight > 0 then 1 end) as negative_row_count,
        {%- for name, expression in sums.items() %}
        cast(coalesce(sum(
            {{ expression }}
        ), 0) as {{ double }}) as {{ name }},
        {%- endfor %}
        decision_date
    from weighed
    group by grouping sets ( -- noqa: PRS, LT02
        (model_id, decision_date, bin_number, model_version)
        {%- for segment in segments %},
        (model_id, decision_date, bin_number, {{ segment }})
        {%- endfor %}
    )

),

score_bins as (

    select
        score_sums.model_id,
        score_sums.model_version,
        score_sums.segment_name,
        score_sums.segment_value,
        score_sums.bin_number,
        edges.lower_edge,
        edges.upper_edge,
        {%- for name in counts + sums.keys() | list %}
        score_sums.{{ name }},
        {%- endfor %}
        edges.is_point_mass,
        edges.is_missing,
        score_sums.decision_date
    from score_sums
    inner join edges
        on score_sums.model_id = edges.model_id
        and score_sums.bin_number = edges.bin_number

)

select * from score_bins
