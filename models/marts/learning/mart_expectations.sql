-- One row per expectation that was written down, by its kind: what was expected, and what came.
with models as (

    select * from {{ ref('dim_models') }}

),

plans as (

    select * from {{ ref('cfg_experiments') }}

),

decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

estimates as (

    select * from {{ ref('fct_lift_estimates') }}
    where segment_name = 'all'

),

changes as (

    select * from {{ ref('int_release_changes') }}

),

kpi_links as (

    select * from {{ ref('mart_kpi_links') }}

),

targets as (

    select
        *,
        row_number() over (
            partition by model_id, metric, due
            order by target_date desc nulls last
        ) as place
    from {{ ref('dim_targets') }}
    where segment_name = 'all' and due is not null and baseline is not null and target <> baseline and target_date <= due

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where model_version = 'all' and segment_name = 'all' and period = '28d'

),

-- up is good in what an experiment decides by
from_experiments as (

    select
        'experiment' as expectation_kind,
        plans.experiment_id || ', ' || coalesce(decisions.variant, '(none)') as expectation_id,
        plans.model_id,
        plans.primary_metric as metric,
        plans.owner,
        case
            when decisions.is_complete is null or not decisions.is_complete or decisions.decision_low is null then 'open'
            when decisions.decision_low >= plans.minimum_effect then 'met'
            when decisions.decision_high < plans.minimum_effect then 'missed'
            else 'undecided'
        end as outcome,
        case
            when decisions.experiment_id is null then 'not_estimated'
            when not decisions.is_complete then 'not_complete'
            when decisions.decision_low is null then 'no_interval'
        end as reason,
        plans.minimum_effect as expected,
        plans.minimum_effect as expected_low,
        cast(null as {{ type_double() }}) as expected_high,
        1 as gain_sign,
        case when estimates.direction = 'down' then -1 else 1 end
        * case when plans.minimum_effect_kind = 'relative' then estimates.relative_lift else estimates.estimate end as actual,
        decisions.decision_low as actual_low,
        decisions.decision_high as actual_high,
        cast(decisions.as_of as date) as outcome_date
    from plans
    left join decisions
        on plans.experiment_id = decisions.experiment_id
        and decisions.as_of = decisions.latest_as_of
    left join estimates
        on decisions.experiment_id = estimates.experiment_id
        and decisions.variant = estimates.variant
        and decisions.as_of = estimates.as_of
        and decisions.primary_metric = estimates.metric
        and decisions.method = estimates.method
        and decisions.totals = estimates.totals
    where plans.minimum_effect is not null

),

from_changes as (

    select
        'release' as expectation_kind,
        release_id || ', ' || metric as expectation_id,
        coalesce(model_id, '(none)') as model_id,
        metric,
        owner,
        outcome,
        reason,
        (expected_low + expected_high) / 2 as expected,
        expected_low,
        expected_high,
        -- of a loss that was put up with, less is better
        case
            when direction = 'up' and expected_low + expected_high < 0 then -1
            when direction = 'down' and expected_low + expected_high > 0 then -1
            else 1
        end as gain_sign,
        actual,
        actual_low,
        actual_high,
        outcome_date
    from changes

),

from_links as (

    select
        'link' as expectation_kind,
        from_metric || ' to ' || to_metric as expectation_id,
        model_id,
        to_metric as metric,
        owner,
        case
            when observed_slope is null then 'open'
            when status in ('holds', 'stronger') then 'met'
            when status = 'weaker' then 'missed'
            else 'undecided'
        end as outcome,
        case when observed_slope is null then reason end as reason,
        (expected_low + expected_high) / 2 as expected,
        expected_low,
        expected_high,
        1 as gain_sign,
        observed_slope as actual,
        observed_slope_low as actual_low,
        observed_slope_high as actual_high,
        read_date as outcome_date
    from kpi_links

),

-- a target says how far a metric is to move from where it was
from_targets as (

    select
        'target' as expectation_kind,
        targets.metric || ', due ' || cast(targets.due as {{ dbt.type_string() }}) as expectation_id,
        targets.model_id,
        targets.metric,
        targets.owner,
        case
            when targets.due >= {{ as_of_date() }} or metric_values.value is null then 'open'
            when (metric_values.value - targets.target) * sign(targets.target - targets.baseline) >= 0 then 'met'
            else 'missed'
        end as outcome,
        case
            when targets.due >= {{ as_of_date() }} then 'not_due'
            when metric_values.value is null then coalesce(metric_values.reason, 'no_data')
        end as reason,
        targets.target - targets.baseline as expected,
        cast(null as {{ type_double() }}) as expected_low,
        cast(null as {{ type_double() }}) as expected_high,
        1 as gain_sign,
        metric_values.value - targets.baseline as actual,
        metric_values.value_low - targets.baseline as actual_low,
        metric_values.value_high - targets.baseline as actual_high,
        targets.due as outcome_date
    from targets
    left join metric_values
        on targets.model_id = metric_values.model_id
        and targets.metric = metric_values.metric
        and targets.due = metric_values.period_end_date
    where targets.place = 1

),

listed as (
    {% for source in ['from_experiments', 'from_changes', 'from_links', 'from_targets'] %}
    select * from {{ source }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

expectations as (

    select
        listed.expectation_kind,
        listed.expectation_id,
        listed.model_id,
        listed.metric,
        listed.owner,
        models.team,
        listed.outcome,
        listed.reason,
        {%- for name in ['expected', 'expected_low', 'expected_high'] %}
        cast(listed.{{ name }} as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        {%- for name in ['actual', 'actual_low', 'actual_high'] %}
        cast(case when listed.outcome <> 'open' then listed.{{ name }} end as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        case
            when listed.outcome <> 'open' then listed.gain_sign * ({{ safe_ratio('listed.actual', 'listed.expected') }} - 1)
        end as gap_share,
        case
            when listed.outcome <> 'open' and listed.expected_high is not null
                then listed.actual between listed.expected_low and listed.expected_high
        end as is_in_range,
        listed.outcome_date
    from listed
    left join models on listed.model_id = models.model_id

)

select * from expectations
