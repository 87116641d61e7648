-- One row per model, version, protected attribute or pair of them, group, month or all judged days: its rates beside the reference's.
{%- set cell = ['model_id', 'model_version', 'attribute', 'group_value', 'other_value', 'period', 'period_end_date'] %}
{%- set counts = ['row_count', 'decision_count', 'selected_count', 'matured_count'] %}
{%- set cells = ['true_positive', 'false_positive', 'false_negative', 'true_negative'] %}
{%- set ratios = ['disparate_impact_ratio', 'opportunity_ratio'] %}
{%- set differences = ['statistical_parity', 'equal_opportunity', 'predictive_equality', 'equalised_odds'] %}
with group_rates as (

    select * from {{ ref('int_group_rates') }}

),

group_comparisons as (

    select * from {{ ref('int_group_comparisons') }}

),

fairness as (

    select
        {%- for name in cell[:-1] %}
        group_rates.{{ name }},
        {%- endfor %}
        group_comparisons.reference_group_value,
        group_comparisons.reference_other_value,
        group_rates.reason,
        group_rates.label_reason,
        group_comparisons.disparate_impact_verdict as verdict,
        group_comparisons.opportunity_verdict,
        'group minus reference, Newcombe 95 %; log ratio + 0.5, 95 %; Holm, one-sided 2.5 %' as metric_convention,
        {%- for name in counts %}
        group_rates.{{ name }},
        {%- endfor %}
        {%- for name in cells %}
        group_rates.{{ name }}_count,
        {%- endfor %}
        {%- for rate in group_rates() %}
        group_rates.{{ rate.name }},
        group_rates.{{ rate.name }}_low,
        group_rates.{{ rate.name }}_high,
        {%- endfor %}
        group_rates.mean_score,
        group_rates.observed_share,
        {%- for name in ratios %}
        group_comparisons.{{ name }},
        group_comparisons.{{ name }}_low,
        group_comparisons.{{ name }}_high,
        {%- endfor %}
        {%- for name in differences %}
        group_comparisons.{{ name }}_difference,
        group_comparisons.{{ name }}_difference_low,
        group_comparisons.{{ name }}_difference_high,
        {%- endfor %}
        cast({{ setting('fairness_bound') }} as {{ type_double() }}) as fairness_bound,
        group_rates.is_reference,
        group_rates.period_start_date,
        group_rates.period_end_date
    from group_rates
    inner join group_comparisons
        on group_rates.model_id = group_comparisons.model_id
        {%- for name in cell[1:] %}
        and group_rates.{{ name }} = group_comparisons.{{ name }}
        {%- endfor %}

)

select * from fairness
