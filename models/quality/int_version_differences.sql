-- One row per model, version, the version before it and judged period in which both ran: how much better one did on the days they share.
{%- set pair = ['model_id', 'model_version', 'compared_with', 'period', 'period_end_date'] %}
{%- set bounds = ['_difference', '_difference_low', '_difference_high'] %}
{%- set means = {'mae': 'regression', 'accuracy': 'multiclass'} %}
{%- set shares = [] %}
{%- for side in ['own', 'other'] %}
{%- do shares.extend([side ~ '.mean_measure', side ~ '.share_low', side ~ '.share_high']) %}
{%- endfor %}
{%- set least_units = [20, setting('minimum_cell')] | max %}
with decisions as (

    select * from {{ ref('fct_decisions') }}

),

models as (

    select * from {{ ref('dim_models') }}
    where task in ('{{ means.values() | join("', '") }}')

),

version_pairs as (

    select * from {{ ref('int_version_pairs') }}

),

periods as (

    select * from {{ ref('int_judged_periods') }}

),

splits as (

    select * from {{ ref('int_version_splits') }}

),

comparisons as (

    select * from {{ ref('int_version_comparisons') }}

),

measured as (

    select
        decisions.model_id,
        coalesce(decisions.model_version, '(none)') as model_version,
        decisions.decision_date,
        decisions.sampling_weight as weight,
        case
            when models.task = 'regression' then abs(decisions.error_sum) / decisions.sampling_weight
            when decisions.judged_count > 0 and decisions.correct_count > 0 then 1
            when decisions.judged_count > 0 then 0
        end as measure
    from decisions
    inner join models on decisions.model_id = models.model_id

),

day_sums as (

    select
        model_id,
        model_version,
        decision_date,
        count(*) as row_count,
        sum(weight) as weight,
        sum(weight * weight) as weight_squares,
        sum(weight * measure) as measure_sum,
        sum(weight * weight * measure) as weighed_sum,
        sum(weight * weight * {{ square('measure') }}) as weighed_squares
    from measured
    where measure is not null
    group by model_id, model_version, decision_date

),

pair_days as (

    {{ days_of_pairs() }}

),

side_sums as (
    {% for side in ['model_version', 'compared_with'] %}
    select
        {%- for name in pair %}
        pair_days.{{ name }},
        {%- endfor %}
        '{{ side }}' as side,
        count(distinct pair_days.decision_date) as common_days,
        sum(day_sums.row_count) as row_count,
        sum(day_sums.weight) as weight,
        sum(day_sums.weight_squares) as weight_squares,
        sum(day_sums.measure_sum) / sum(day_sums.weight) as mean_measure,
        sum(day_sums.weighed_sum) as weighed_sum,
        sum(day_sums.weighed_squares) as weighed_squares
    from pair_days
    inner join day_sums
        on pair_days.model_id = day_sums.model_id
        and pair_days.{{ side }} = day_sums.model_version
        and pair_days.decision_date = day_sums.decision_date
    group by pair_days.{{ pair | join(', pair_days.') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- Kish's number of decisions: what as many equal weights would tell
sides as (

    select
        *,
        weight * weight / weight_squares as effective_units,
        greatest(weighed_squares - 2 * mean_measure * weighed_sum + mean_measure * mean_measure * weight_squares, 0)
        / (weight * weight) as variance
    from side_sums

),

limited as (

    select
        *,
        {{ wilson_bound('mean_measure', 'effective_units', '-') }} as share_low,
        {{ wilson_bound('mean_measure', 'effective_units', '+') }} as share_high
    from sides

),

compared as (

    select
        {%- for name in pair %}
        own.{{ name }},
        {%- endfor %}
        models.task,
        least(own.common_days, other.common_days) as common_days,
        own.mean_measure - other.mean_measure as difference,
        {%- for side, sign in [('low', '-'), ('high', '+')] %}
        case
            when models.task = 'multiclass' then {{ newcombe_bound(*shares, sign=sign) }}
            else own.mean_measure - other.mean_measure {{ sign }} {{ quantile_of_one() }} * sqrt(own.variance + other.variance)
        end as difference_{{ side }},
        {%- endfor %}
        case
            when least(own.common_days, other.common_days) < 7 then 'no_common_days'
            when least(own.row_count, other.row_count) < {{ least_units }} then 'too_few_units'
        end as reason,
        coalesce(splits.is_randomised, false) as is_randomised
    from limited as own
    inner join limited as other
        on own.side = 'model_version'
        and other.side = 'compared_with'
        {%- for name in pair %}
        and own.{{ name }} = other.{{ name }}
        {%- endfor %}
    inner join models on own.model_id = models.model_id
    left join splits
        on own.model_id = splits.model_id
        and own.model_version = splits.model_version
        and own.compared_with = splits.compared_with

),

version_differences as (

    select
        model_id,
        model_version,
        compared_with,
        period,
        common_days,
        {%- for name in bounds %}
        roc_auc{{ name }},
        {%- endfor %}
        {%- for mean in means %}
        {%- for name in bounds %}
        cast(null as {{ type_double() }}) as {{ mean ~ name }},
        {%- endfor %}
        {%- endfor %}
        reason,
        is_randomised,
        period_end_date
    from comparisons
    union all
    select
        model_id,
        model_version,
        compared_with,
        period,
        common_days,
        {%- for name in bounds %}
        cast(null as {{ type_double() }}) as roc_auc{{ name }},
        {%- endfor %}
        {%- for mean, task in means.items() %}
        {%- for name in bounds %}
        case when reason is null and task = '{{ task }}' then {{ name[1:] }} end as {{ mean ~ name }},
        {%- endfor %}
        {%- endfor %}
        reason,
        is_randomised,
        period_end_date
    from compared

)

select * from version_differences
