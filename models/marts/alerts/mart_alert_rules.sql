-- One row per alert rule, model and segment that it watches: what it reads now, or why it reads nothing.
{%- set faults = "('" ~ counts_of_faults() | join("', '") ~ "')" %}
with rules as (

    select * from {{ ref('cfg_alert_rules') }}

),

rule_values as (

    select
        *,
        {{ dbt.datediff('value_date', as_of_date(), 'day') }} - 1 - known_after_days as days_known -- noqa: LT05
    from {{ ref('int_rule_values') }}

),

-- a day whose labels are still to come tells nothing of the rule
placed as (

    select
        *,
        row_number() over (partition by alert_key order by value_date desc nulls last) as place,
        row_number() over (partition by alert_key, is_holding is null order by value_date desc nulls last) as place_alike,
        sum(case when is_holding is not null then 1 else 0 end) over (partition by alert_key) as ready_days_count,
        sum(case when is_holding then 1 else 0 end) over (partition by alert_key) as holding_days_count
    from rule_values
    where days_known >= 0

),

newest as (

    select * from placed
    where place = 1

),

newest_ready as (

    select * from placed
    where place_alike = 1 and is_holding is not null

),

watched as (

    select
        rules.rule_id,
        coalesce(newest.model_id, rules.model_id) as model_id,
        rules.metric,
        coalesce(newest.segment_name, 'all') as segment_name,
        coalesce(newest.segment_value, 'all') as segment_value,
        rules.tier,
        rules.condition,
        rules.owner,
        coalesce(newest.period, case when rules.metric in {{ faults }} then 'day' end, rules.period, '7d') as period,
        case
            when newest.alert_key is null and rules.metric in {{ faults }} then 'nothing_to_judge'
            when newest.alert_key is null then 'metric_not_read'
            when newest_ready.days_known is null or newest_ready.days_known > 28 then coalesce(newest.reason, 'no_data')
        end as blind_reason,
        newest_ready.value,
        newest_ready.measured,
        newest_ready.bound,
        newest_ready.is_holding,
        cast(coalesce(newest.ready_days_count, 0) as bigint) as ready_days_count,
        cast(coalesce(newest.holding_days_count, 0) as bigint) as holding_days_count,
        newest_ready.value_date
    from rules
    left join newest on rules.rule_id = newest.rule_id
    left join newest_ready on newest.alert_key = newest_ready.alert_key

),

alert_rules as (

    select
        rule_id,
        model_id,
        metric,
        segment_name,
        segment_value,
        tier,
        case when blind_reason is not null then 'blind' when is_holding then 'holds' else 'quiet' end as rule_state,
        blind_reason,
        period,
        condition,
        owner,
        value,
        measured,
        bound,
        ready_days_count,
        holding_days_count,
        value_date
    from watched

)

select * from alert_rules
