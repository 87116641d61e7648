-- One row per model, version, protected attribute or pair of them, group, month or all judged days: how far it is from the reference.
{%- set table = 'model_id, model_version, attribute, period, period_end_date' %}
{%- set differences = {
    'statistical_parity': 'selection_rate',
    'equal_opportunity': 'true_positive_rate',
    'predictive_equality': 'false_positive_rate',
} %}
{%- set ratios = {'disparate_impact': 'selection_rate', 'opportunity': 'true_positive_rate'} %}
{%- set bound = setting('fairness_bound') %}
{%- set has_odds = 'equal_opportunity_difference is not null and predictive_equality_difference is not null' %}
with group_rates as (

    select * from {{ ref('int_group_rates') }}

),

references_of_tables as (

    select * from group_rates
    where is_reference

),

compared as (

    select
        ours.*,
        {%- for name, rate in differences.items() %}
        case when not ours.is_reference then ours.{{ rate }} - theirs.{{ rate }} end as {{ name }}_difference,
        {%- for width in ([''] if rate == 'selection_rate' else ['', '_wide']) %}
        {%- for side, sign in [('low', '-'), ('high', '+')] %}
        {%- set one, other = 'ours.' ~ rate, 'theirs.' ~ rate %}
        {%- set bounds = [width ~ '_low', width ~ '_high'] %}
        case
            when not ours.is_reference
                then {{ newcombe_bound(one, one ~ bounds[0], one ~ bounds[1], other, other ~ bounds[0], other ~ bounds[1], sign) }}
        end as {{ name ~ width }}_{{ side }},
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
        {%- for name, rate in ratios.items() %}
        {%- set of = ['ours.' ~ rate, 'ours.' ~ rate ~ '_units', 'theirs.' ~ rate, 'theirs.' ~ rate ~ '_units'] %}
        case when not ours.is_reference then {{ safe_ratio('ours.' ~ rate, 'theirs.' ~ rate) }} end as {{ name }}_ratio,
        case when not ours.is_reference then {{ log_ratio(*of) }} end as {{ name }}_logarithm,
        case when not ours.is_reference then {{ log_ratio_error(*of) }} end as {{ name }}_error,
        {%- endfor %}
        theirs.group_value as reference_group_value,
        theirs.other_value as reference_other_value
    from group_rates as ours
    left join references_of_tables as theirs
        on ours.model_id = theirs.model_id
        and ours.model_version = theirs.model_version
        and ours.attribute = theirs.attribute
        and ours.period = theirs.period
        and ours.period_end_date = theirs.period_end_date

),

-- the group farthest below the bound comes first
placed as (

    select
        {%- for name in ratios %}
        {{ distance_below(name ~ '_logarithm', name ~ '_error', bound) }} as {{ name }}_distance,
        count({{ name }}_logarithm) over (partition by {{ table }}) as {{ name }}_groups,
        row_number() over (
            partition by {{ table }}
            order by
                {{ distance_below(name ~ '_logarithm', name ~ '_error', bound) }} desc nulls last,
                group_value asc nulls last,
                other_value asc nulls last
        ) as {{ name }}_place,
        {%- endfor %}
        *
    from compared

),

tested as (

    select
        {%- for name in ratios %}
        case
            when {{ name }}_place > {{ name }}_groups then 0
            when {{ beats_holm(name ~ '_distance', name ~ '_place', name ~ '_groups') }} then 1
            else 0
        end as {{ name }}_fails_alone,
        {%- endfor %}
        *
    from placed

),

judged as (

    select
        {%- for name in ratios %}
        exp({{ name }}_logarithm - {{ quantile_of_one() }} * {{ name }}_error) as {{ name }}_low,
        exp({{ name }}_logarithm + {{ quantile_of_one() }} * {{ name }}_error) as {{ name }}_high,
        min({{ name }}_fails_alone) over (
            partition by {{ table }}
            order by {{ name }}_place nulls last
            rows between unbounded preceding and current row
        ) as {{ name }}_fails,
        {%- endfor %}
        *
    from tested

),

group_comparisons as (

    select
        model_id,
        model_version,
        attribute,
        group_value,
        other_value,
        period,
        reference_group_value,
        reference_other_value,
        {%- for name in ratios %}
        case
            when is_reference then cast(null as {{ dbt.type_string() }})
            when reference_group_value is null then 'no_reference'
            when {{ name }}_fails = 1 then 'fail'
            when {{ name }}_low > {{ bound }} then 'pass'
            else 'insufficient'
        end as {{ name }}_verdict,
        {{ name }}_ratio,
        {{ name }}_low as {{ name }}_ratio_low,
        {{ name }}_high as {{ name }}_ratio_high,
        {%- endfor %}
        {%- for name in differences %}
        {{ name }}_difference,
        {{ name }}_low as {{ name }}_difference_low,
        {{ name }}_high as {{ name }}_difference_high,
        {%- endfor %}
        case when {{ has_odds }} then greatest(abs(equal_opportunity_difference), abs(predictive_equality_difference)) end
            as equalised_odds_difference,
        case
            when {{ has_odds }} then greatest(
                0,
                equal_opportunity_wide_low,
                -equal_opportunity_wide_high,
                predictive_equality_wide_low,
                -predictive_equality_wide_high
            )
        end as equalised_odds_difference_low,
        case
            when {{ has_odds }} then greatest(
                equal_opportunity_wide_high,
                -equal_opportunity_wide_low,
                predictive_equality_wide_high,
                -predictive_equality_wide_low
            )
        end as equalised_odds_difference_high,
        period_end_date
    from judged

)

select * from group_comparisons
