-- One row per alert: since when its rule held, what it read then and reads now, and what people did about it.
with rule_values as (

    select * from {{ ref('int_rule_values') }}

),

actions as (

    select
        *,
        row_number() over (partition by alert_key order by acted_at desc nulls last, action_id desc nulls last) = 1 as is_newest
    from {{ ref('stg_alert_actions') }}
    where acted_at <= {{ as_of() }}

),

-- a day without a number neither breaks a run of days nor counts in it
ready as (

    select
        *,
        row_number() over (partition by alert_key order by value_date nulls last) as place,
        row_number() over (partition by alert_key, is_holding order by value_date nulls last) as place_alike,
        lead(value_date) over (partition by alert_key order by value_date nulls last) as next_date,
        last_value(value_date) over (
            partition by alert_key
            order by value_date nulls last
            rows between unbounded preceding and unbounded following
        ) as newest_date
    from rule_values
    where is_holding is not null

),

placed as (

    select
        *,
        row_number() over (partition by alert_key, place - place_alike order by value_date nulls last) as place_in_island
    from ready
    where is_holding

),

islands as (

    select
        alert_key,
        place - place_alike as island,
        max(cooldown_days) as cooldown_days,
        max(case when metric = 'input_health' then 1 else 0 end) as is_undated,
        max(case when place_in_island = consecutive_days then known_after_days end) as known_after_days,
        max(newest_date) as newest_date,
        count(*) as day_count,
        min(value_date) as first_date,
        max(case when place_in_island = consecutive_days then value_date end) as opened_date,
        max(value_date) as last_date,
        max(next_date) as next_date
    from placed
    group by alert_key, place - place_alike
    having count(*) >= max(consecutive_days)

),

spaced as (

    select
        *,
        lag(last_date) over (partition by alert_key order by first_date nulls last) as earlier_date
    from islands

),

numbered as (

    select
        *,
        sum(case when {{ dbt.datediff('earlier_date', 'first_date', 'day') }} <= cooldown_days then 0 else 1 end) -- noqa: LT05
            over (partition by alert_key order by first_date nulls last rows unbounded preceding) as alert_number
    from spaced

),

-- next_date of an island is the first day on which its condition no longer held
joined_islands as (

    select
        alert_key,
        alert_number,
        max(cooldown_days) as cooldown_days,
        max(is_undated) as is_undated,
        min(known_after_days) as known_after_days,
        sum(day_count) as day_count,
        count(*) as island_count,
        min(first_date) as first_date,
        min(opened_date) as opened_date,
        max(last_date) as last_date,
        max(newest_date) as newest_date,
        case when max(last_date) < max(newest_date) then max(next_date) end as ended_date
    from numbered
    group by alert_key, alert_number

),

dated as (

    select
        *,
        cast({{ dbt.dateadd('day', 'cast(known_after_days as int) + 1', 'opened_date') }} as timestamp) as raised_at
    from joined_islands

),

raised as (

    select
        *,
        lead(raised_at) over (partition by alert_key order by alert_number nulls last) as next_raised_at
    from dated

),

-- an action is about the last alert that could be told; but nobody knows since when checks of the input fail, so that what was last done
-- about them is about the same problem within the cooldown, and as long as it puts them off
acted as (

    select
        raised.alert_key,
        raised.alert_number,
        actions.action,
        actions.acted_by,
        actions.note,
        actions.snoozed_until,
        actions.acted_at,
        row_number() over (
            partition by raised.alert_key, raised.alert_number
            order by actions.acted_at desc nulls last, actions.action_id desc nulls last
        ) as place
    from raised
    inner join actions
        on raised.alert_key = actions.alert_key
        and (
            actions.acted_at >= raised.raised_at
            or (
                raised.is_undated = 1
                and actions.is_newest
                and (
                    {{ dbt.datediff('cast(actions.acted_at as date)', 'raised.opened_date', 'day') }} <= raised.cooldown_days -- noqa: LT05
                    or (actions.action = 'snoozed' and actions.snoozed_until > {{ as_of() }})
                )
            )
        )
        and (raised.next_raised_at is null or actions.acted_at < raised.next_raised_at)

),

stated as (

    select
        raised.*,
        acted.action,
        acted.acted_by,
        acted.note,
        acted.snoozed_until,
        acted.acted_at,
        case
            when raised.ended_date is not null then 'closed'
            when acted.action = 'acknowledged' then 'acknowledged'
            when acted.action = 'snoozed' and acted.snoozed_until > {{ as_of() }} then 'suppressed'
            -- what still holds once it had the time to pass is open again
            when
                acted.action = 'closed'
                and {{ dbt.datediff('cast(acted.acted_at as date)', 'raised.newest_date', 'day') }} <= raised.cooldown_days -- noqa: LT05
                then 'closed'
            else 'open'
        end as status
    from raised
    left join acted
        on raised.alert_key = acted.alert_key
        and raised.alert_number = acted.alert_number
        and acted.place = 1

),

alert_history as (

    select
        stated.alert_key,
        newest.rule_id,
        newest.model_id,
        newest.metric,
        newest.segment_name,
        newest.segment_value,
        newest.period,
        coalesce(opening.fault, newest.fault) as fault,
        stated.status,
        case
            when stated.ended_date is not null then 'condition'
            when stated.status = 'closed' then 'person'
        end as closed_by,
        stated.action as last_action,
        stated.acted_by,
        stated.note,
        opening.value as opening_value,
        opening.bound as opening_bound,
        newest.value,
        newest.value_low,
        newest.value_high,
        newest.measured,
        newest.bound,
        cast(stated.day_count as bigint) as breach_days_count,
        cast(stated.island_count - 1 as bigint) as return_count,
        stated.first_date,
        stated.opened_date,
        stated.last_date,
        case
            when stated.ended_date is not null then stated.ended_date
            when stated.status = 'closed' then cast(stated.acted_at as date)
        end as closed_date,
        stated.raised_at,
        stated.acted_at,
        case when stated.status = 'suppressed' then stated.snoozed_until end as snoozed_until
    from stated
    inner join rule_values as opening
        on stated.alert_key = opening.alert_key
        and stated.opened_date = opening.value_date
    inner join rule_values as newest
        on stated.alert_key = newest.alert_key
        and stated.last_date = newest.value_date

)

select * from alert_history
