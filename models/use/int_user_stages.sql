-- One row per eligible user, model and day: how far the user has come.
{%- set until_now = 'partition by user_id, model_id order by day_number rows between unbounded preceding and current row' %}
with user_days as (

    select
        *,
        event_count > task_completed_count as is_exposed,
        {{ dbt.datediff("cast('1900-01-01' as date)", 'usage_date', 'day') }} as day_number -- noqa: LT05
    from {{ ref('fct_usage') }}
    where usage_date < {{ as_of_date() }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }}
    where source_name = 'usage_events'

),

-- an eligible user has a row on each day, so that no day of the windows is missing
known_days as (

    select
        *,
        sum(active_day_count) over (
            partition by user_id, model_id
            order by day_number range between 27 preceding and current row
        ) as active_day_count_28d,
        max(case when is_exposed then 1 else 0 end) over ({{ until_now }}) as was_exposed,
        sum(active_day_count) over ({{ until_now }}) as active_day_count_ever,
        min(case when is_eligible then usage_date end) over (partition by user_id, model_id) as first_eligible_date
    from user_days

),

eligible_days as (

    select
        known_days.*,
        known_days.usage_date >= {{ dbt.dateadd('day', 27, 'watermarks.known_from') }}
        and known_days.usage_date <= watermarks.known_through as is_known,
        {{ dbt.datediff('known_days.first_eligible_date', 'known_days.usage_date', 'day') }} as eligible_day_number, -- noqa: LT05
        known_days.is_active
        and known_days.active_day_count_ever = 1
        and known_days.first_eligible_date >= watermarks.known_from as is_first_use
    from known_days
    left join watermarks on known_days.model_id = watermarks.model_id
    where known_days.is_eligible

),

user_stages as (

    select
        user_id,
        model_id,
        coalesce(team, '(unknown)') as team,
        coalesce(role, '(unknown)') as role,
        case
            when not coalesce(is_known, false) then null
            when active_day_count_28d >= {{ setting('embedded_days') }} then 'embedded'
            when active_day_count_28d >= {{ setting('regular_days') }} then 'regular'
            when active_day_count_28d > 0 then 'trial'
            when active_day_count_ever > 0 then 'lapsed'
            when was_exposed = 1 then 'exposed'
            else 'not_exposed'
        end as stage,
        cast(active_day_count_28d as bigint) as active_day_count,
        case when is_first_use then cast(eligible_day_number as bigint) end as days_to_first_use,
        usage_date
    from eligible_days

)

select * from user_stages
