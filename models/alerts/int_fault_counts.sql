-- One row per model, kind of fault and complete day: how many faults stand that an alert rule may count.
{%- set last_day = 'cast(' ~ dbt.dateadd('day', -1, as_of_date()) ~ ' as date)' %}
with drift as (

    select * from {{ ref('int_drift_verdicts') }}
    where model_version = 'all' and feature_role = 'input' and period = 'week'

),

links as (

    select * from {{ ref('int_chain_links') }}

),

comparisons as (

    select * from {{ ref('int_group_comparisons') }}
    where model_version = 'all' and period = 'month'

),

input_checks as (

    select * from {{ ref('fct_input_checks') }}

),

lateness as (

    select * from {{ ref('int_late_days') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

drift_weeks as (

    select
        model_id,
        'drift' as metric,
        min(case when status = 'drift' then feature end) as fault,
        count(case when status = 'drift' then 1 end) as fault_count,
        count(case when status <> 'not_ready' then 1 end) as judged_count,
        0 as known_after_days,
        period_end_date as first_date,
        cast({{ dbt.dateadd('day', 6, 'period_end_date') }} as date) as last_date
    from drift
    group by model_id, period_end_date

),

broken_weeks as (

    select
        model_id,
        week_end_date,
        min(case when status = 'broken' then link_number end) as link_number,
        count(case when status = 'broken' then 1 end) as fault_count,
        count(case when status in ('broken', 'holds') then 1 end) as judged_count
    from links
    group by model_id, week_end_date

),

-- outcomes and value wait for labels
chain_weeks as (

    select
        broken_weeks.model_id,
        'causal_chain' as metric,
        links.link as fault,
        broken_weeks.fault_count,
        broken_weeks.judged_count,
        case when links.link in ('outcome', 'value') then models.horizon_days + models.label_delay_days else 0 end as known_after_days,
        broken_weeks.week_end_date as first_date,
        cast({{ dbt.dateadd('day', 6, 'broken_weeks.week_end_date') }} as date) as last_date
    from broken_weeks
    inner join models on broken_weeks.model_id = models.model_id
    left join links
        on broken_weeks.model_id = links.model_id
        and broken_weeks.week_end_date = links.week_end_date
        and broken_weeks.link_number = links.link_number

),

fairness_months as (

    select
        comparisons.model_id,
        'fairness' as metric,
        min(case
            when 'fail' in (comparisons.disparate_impact_verdict, comparisons.opportunity_verdict)
                then comparisons.attribute || ' ' || comparisons.group_value
        end) as fault,
        count(case when 'fail' in (comparisons.disparate_impact_verdict, comparisons.opportunity_verdict) then 1 end) as fault_count,
        count(case
            when comparisons.disparate_impact_verdict in ('pass', 'fail') or comparisons.opportunity_verdict in ('pass', 'fail') then 1
        end) as judged_count,
        models.horizon_days + models.label_delay_days as known_after_days,
        comparisons.period_end_date as first_date,
        cast({{ dbt.dateadd('day', 27, 'comparisons.period_end_date') }} as date) as last_date
    from comparisons
    inner join models on comparisons.model_id = models.model_id
    group by comparisons.model_id, comparisons.period_end_date, models.horizon_days, models.label_delay_days

),

-- what was delivered is judged as a whole, of which the last day knows
failed_checks as (

    select
        case when model_id = '(none)' then '(all)' else model_id end as model_id,
        'input_health' as metric,
        min(case when status in ('warn', 'stop') then table_name || ' ' || check_name end) as fault,
        count(case when status in ('warn', 'stop') then 1 end) as fault_count,
        count(*) as judged_count,
        0 as known_after_days,
        {{ last_day }} as first_date,
        {{ last_day }} as last_date
    from input_checks
    group by case when model_id = '(none)' then '(all)' else model_id end

),

latest as (

    select
        *,
        row_number() over (partition by model_id, date_day order by late_days desc nulls last, source_name asc nulls last) as place
    from lateness

),

late_days as (

    select
        model_id,
        'freshness' as metric,
        case when late_days > 0 then source_name end as fault,
        late_days as fault_count,
        1 as judged_count,
        0 as known_after_days,
        date_day as first_date,
        date_day as last_date
    from latest
    where place = 1

),

counted as (

    select * from drift_weeks
    union all
    select * from chain_weeks
    union all
    select * from fairness_months
    union all
    select * from failed_checks
    union all
    select * from late_days

),

fault_counts as (

    select
        counted.model_id,
        counted.metric,
        counted.fault,
        case when counted.judged_count = 0 then 'nothing_to_judge' end as reason,
        cast(case when counted.judged_count > 0 then counted.fault_count end as {{ type_double() }}) as fault_count,
        cast(counted.known_after_days as bigint) as known_after_days,
        dates.date_day as fault_date
    from counted
    inner join dates on counted.first_date <= dates.date_day and counted.last_date >= dates.date_day

)

select * from fault_counts
