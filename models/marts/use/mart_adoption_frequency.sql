-- One row per model, segment, segment value, day and number of active days: the users who were active on so many of 28 days.
{%- set cell = ['model_id', 'segment_name', 'segment_value'] %}
with activity as (

    select * from {{ ref('fct_activity') }}
    where is_active

),

adoption_days as (

    select * from {{ ref('int_adoption_days') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

-- each month end and the last complete day
ends as (

    select date_day as activity_date
    from dates
    where
        date_day = cast({{ dbt.last_day('date_day', 'month') }} as date)
        or date_day = cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date)

),

window_days as (

    select
        dates.date_day,
        ends.activity_date
    from ends
    inner join dates
        on ends.activity_date >= dates.date_day
        and ends.activity_date < {{ dbt.dateadd('day', 28, 'dates.date_day') }}

),

users as (

    select
        {%- for name in cell %}
        activity.{{ name }},
        {%- endfor %}
        window_days.activity_date,
        count(*) as active_day_count
    from activity
    inner join window_days on activity.activity_date = window_days.date_day
    group by activity.user_id, activity.{{ cell | join(', activity.') }}, window_days.activity_date

),

frequencies as (

    select
        {{ cell | join(', ') }},
        active_day_count,
        count(*) as user_count,
        activity_date
    from users
    group by {{ cell | join(', ') }}, active_day_count, activity_date

),

numbers as (

    {{ dbt.generate_series(28) }}

),

-- a number of days without users has a row too, which tells nothing of who is hidden
dense as (

    select
        {%- for name in cell %}
        adoption_days.{{ name }},
        {%- endfor %}
        case
            when adoption_days.window_reason is not null then adoption_days.window_reason
            when adoption_days.monthly_active_users < {{ setting('minimum_cell') }} then 'too_few_units'
        end as reason,
        adoption_days.window_reason is null as is_counted,
        cast(numbers.generated_number as bigint) as active_day_count,
        coalesce(frequencies.user_count, 0) as user_count,
        adoption_days.monthly_active_users,
        adoption_days.activity_date
    from adoption_days
    inner join ends on adoption_days.activity_date = ends.activity_date
    cross join numbers
    left join frequencies
        on adoption_days.model_id = frequencies.model_id
        and adoption_days.segment_name = frequencies.segment_name
        and adoption_days.segment_value = frequencies.segment_value
        and adoption_days.activity_date = frequencies.activity_date
        and numbers.generated_number = frequencies.active_day_count

),

cumulated as (

    select
        *,
        sum(user_count) over (
            partition by {{ cell | join(', ') }}, activity_date order by active_day_count desc nulls last
        ) as at_least_count
    from dense

),

frequency as (

    select
        {{ cell | join(', ') }},
        reason,
        active_day_count,
        case when is_counted then user_count end as user_count,
        case when is_counted then cast(at_least_count as bigint) end as at_least_count,
        case when reason is null then {{ safe_ratio('user_count', 'monthly_active_users') }} end as user_share,
        case when reason is null then {{ safe_ratio('at_least_count', 'monthly_active_users') }} end as at_least_share,
        activity_date
    from cumulated

)

select * from frequency
