-- One row per user, model and day on which the user was eligible or did something.
-- depends_on: {{ ref('int_touched_usage_dates') }}
with usage_events as (

    select * from {{ ref('stg_usage_events') }} where {{ touched('cast(occurred_at as date)') }}

),

eligibility as (

    select * from {{ ref('stg_eligible_users') }}

),

bounds as (

    select
        coalesce(min(cast(eligible_from as date)), {{ as_of_date() }}) as first_day,
        {{ as_of_date() }} as last_day
    from eligibility
    where eligible_from <= {{ as_of() }}

),

{{ day_ctes('bounds') }},

dates as (

    select * from days where {{ touched('date_day') }}

),

stays as (

    select
        eligibility.user_id,
        eligibility.model_id,
        dates.date_day as usage_date,
        eligibility.team,
        eligibility.role,
        row_number() over (
            partition by eligibility.user_id, eligibility.model_id, dates.date_day
            order by eligibility.eligible_from desc nulls last
        ) as stay_rank
    from eligibility
    inner join dates
        on eligibility.eligible_from < cast({{ dbt.dateadd('day', 1, 'dates.date_day') }} as timestamp)
        and (eligibility.eligible_to is null or eligibility.eligible_to > cast(dates.date_day as timestamp))
    where cast(dates.date_day as timestamp) < {{ as_of() }}

),

eligible_days as (

    select * from stays where stay_rank = 1

),

event_days as (

    select
        user_id,
        model_id,
        cast(occurred_at as date) as usage_date,
        count(*) as event_count,
        count(*) filter (where event_name = 'exposed') as exposed_count,
        count(*) filter (where event_name = 'viewed') as viewed_count,
        count(*) filter (where event_name = 'accepted') as accepted_count,
        count(*) filter (where event_name = 'rejected') as rejected_count,
        count(*) filter (where event_name = 'overridden') as overridden_count,
        count(*) filter (where event_name = 'edited') as edited_count,
        count(*) filter (where event_name = 'dismissed') as dismissed_count,
        count(*) filter (where event_name = 'task_completed') as task_completed_count,
        count(*) filter (where not coalesce(is_passive, false)) as active_event_count,
        sum(duration_ms) as duration_ms
    from usage_events
    group by user_id, model_id, cast(occurred_at as date)

),

user_days as (

    select
        coalesce(event_days.user_id, eligible_days.user_id) as user_id,
        coalesce(event_days.model_id, eligible_days.model_id) as model_id,
        eligible_days.team,
        eligible_days.role,
        coalesce(event_days.event_count, 0) as event_count,
        coalesce(event_days.exposed_count, 0) as exposed_count,
        coalesce(event_days.viewed_count, 0) as viewed_count,
        coalesce(event_days.accepted_count, 0) as accepted_count,
        coalesce(event_days.rejected_count, 0) as rejected_count,
        coalesce(event_days.overridden_count, 0) as overridden_count,
        coalesce(event_days.edited_count, 0) as edited_count,
        coalesce(event_days.dismissed_count, 0) as dismissed_count,
        coalesce(event_days.task_completed_count, 0) as task_completed_count,
        event_days.duration_ms,
        case when eligible_days.user_id is not null then 1 else 0 end as eligible_day_count,
        case when event_days.active_event_count > 0 then 1 else 0 end as active_day_count,
        case when eligible_days.user_id is not null and event_days.active_event_count > 0 then 1 else 0 end as adopted_day_count,
        case when event_days.task_completed_count > 0 then 1 else 0 end as completed_day_count,
        eligible_days.user_id is not null as is_eligible,
        coalesce(event_days.active_event_count > 0, false) as is_active,
        coalesce(event_days.usage_date, eligible_days.usage_date) as usage_date
    from event_days
    full outer join eligible_days
        on event_days.user_id = eligible_days.user_id
        and event_days.model_id = eligible_days.model_id
        and event_days.usage_date = eligible_days.usage_date

)

select * from user_days
