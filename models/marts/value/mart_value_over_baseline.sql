-- One row per model and month or all judged days: what the model earned beyond the policy that was there before it.
{%- set sums = [
    'row_count', 'judged_count', 'baseline_count', 'changed_count', 'compared_rows', 'compared_count', 'compared_amount',
    'baseline_amount', 'gain_square_sum', 'overridden_rows', 'overridden_told_rows', 'followed_rows', 'followed_told_rows',
] %}
with policy_days as (

    select * from {{ ref('fct_policy_days') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

periods as (

    select * from {{ ref('int_judged_periods') }}
    where period in ('month', 'all')

),

shown as (

    select * from {{ ref('fct_metric_values') }}
    where metric = 'value_of_decisions' and model_version = 'all' and segment_name = 'all'

),

summed as (

    select
        periods.model_id,
        periods.period,
        {%- for name in sums %}
        coalesce(sum(policy_days.{{ name }}), 0) as {{ name }},
        {%- endfor %}
        periods.period_start_date,
        periods.period_end_date
    from periods
    left join policy_days
        on periods.model_id = policy_days.model_id
        and periods.period_start_date <= policy_days.decision_date
        and periods.period_end_date >= policy_days.decision_date
    group by periods.model_id, periods.period, periods.period_start_date, periods.period_end_date

),

reasoned as (

    select
        summed.*,
        models.baseline_policy,
        models.baseline_column,
        summed.compared_amount - summed.baseline_amount as gain,
        case
            when models.baseline_policy is null then 'no_baseline'
            when shown.model_id is null then 'cell_not_valued'
            when shown.reason is not null then shown.reason
            when summed.baseline_count = 0 then 'baseline_not_logged'
            -- what people say of decisions they did not like alone is no sample
            when
                models.baseline_policy = 'expert'
                and summed.followed_told_rows * summed.overridden_rows < 0.9 * summed.overridden_told_rows * summed.followed_rows
                then 'expert_not_sampled'
            when models.outcome_depends_on_action and summed.changed_count > 0 then 'outcome_not_observed'
            when summed.compared_count < summed.baseline_count * (1 - 1e-9) then 'cell_not_valued'
            when summed.compared_rows < {{ setting('minimum_cell') }} then 'too_few_units'
        end as reason
    from summed
    inner join models on summed.model_id = models.model_id
    left join shown
        on summed.model_id = shown.model_id
        and summed.period = shown.period
        and summed.period_end_date = shown.period_end_date

),

bounded as (

    select
        *,
        {{ quantile_of_one() }} * sqrt(
            greatest(gain_square_sum - gain * gain / nullif(compared_rows, 0), 0) * compared_rows / nullif(compared_rows - 1, 0)
        ) as margin
    from reasoned

),

value_over_baseline as (

    select
        model_id,
        period,
        baseline_policy,
        baseline_column,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        reason,
        cast(judged_count as {{ type_double() }}) as judged_count,
        cast(case when reason is null then compared_count end as {{ type_double() }}) as compared_count,
        cast(case when reason is null then changed_count end as {{ type_double() }}) as changed_count,
        cast(case when reason is null then compared_amount end as {{ type_double() }}) as model_value_amount,
        cast(case when reason is null then baseline_amount end as {{ type_double() }}) as baseline_value_amount,
        cast(case when reason is null then gain end as {{ type_double() }}) as gain_amount,
        cast(case when reason is null then gain - margin end as {{ type_double() }}) as gain_low_amount,
        cast(case when reason is null then gain + margin end as {{ type_double() }}) as gain_high_amount,
        case when reason is null then abs(gain) > margin end as is_beyond_noise,
        period_start_date,
        period_end_date
    from bounded

)

select * from value_over_baseline
