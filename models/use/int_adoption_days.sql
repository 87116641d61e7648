-- One row per model, segment, segment value and day: how many people could use the model, met it and used it.
{%- set cell = ['model_id', 'segment_name', 'segment_value'] %}
{%- set of_user = 'partition by ' ~ cell | join(', ') ~ ', user_id order by activity_date nulls last' %}
{%- set so_far = 'partition by ' ~ cell | join(', ') ~ ' order by date_day nulls last' %}
with activity as {{ not_materialized() }} (

    select * from {{ ref('fct_activity') }}
    where activity_date < {{ as_of_date() }}

),

stages as (

    select * from {{ ref('int_user_stages') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

met_days as (

    select
        {{ cell | join(', ') }},
        count(case when is_exposed then 1 end) as exposed_users,
        count(case when not is_active then 1 end) as passive_users,
        activity_date as date_day
    from activity
    group by {{ cell | join(', ') }}, activity_date

),

active_days as (

    select
        {{ cell | join(', ') }},
        activity_date,
        lag(activity_date) over ({{ of_user }}) as previous_date,
        lead(activity_date) over ({{ of_user }}) as next_date
    from activity
    where is_active

),

-- many users have the same gaps before and after a day, so what follows reads few rows
lives as (

    select
        {{ cell | join(', ') }},
        activity_date,
        case
            when previous_date is null then 'new'
            when previous_date >= {{ dbt.dateadd('day', -28, 'activity_date') }} then 'returning'
            else 'resurrected'
        end as life,
        case when next_date < {{ dbt.dateadd('day', 28, 'activity_date') }} then next_date end as next_date,
        count(*) as user_count
    from active_days
    group by {{ range(1, 7) | join(', ') }}

),

life_days as (

    select
        {{ cell | join(', ') }},
        sum(user_count) as active_users,
        {%- for life in ['new', 'returning', 'resurrected'] %}
        sum(case when life = '{{ life }}' then user_count else 0 end) as {{ life }}_users,
        {%- endfor %}
        activity_date as date_day
    from lives
    group by {{ cell | join(', ') }}, activity_date

),

-- a window holds an active day until it has passed it, or until the next active day of the user
{% for days in [7, 28] -%}
left_{{ days }}d as (

    select
        {{ cell | join(', ') }},
        sum(user_count) as left_users,
        cast(least({{ dbt.dateadd('day', days, 'activity_date') }}, next_date) as date) as date_day
    from lives
    group by {{ range(1, 4) | join(', ') }}, 5

),

{% endfor -%}
stage_counts as (

    select
        model_id,
        team,
        role,
        stage,
        active_day_count > 0 as is_adopted,
        days_to_first_use,
        count(*) as user_count,
        usage_date as date_day
    from stages
    group by model_id, team, role, stage, active_day_count > 0, days_to_first_use, usage_date

),

staged as (

    {% for segment in ['all', 'team', 'role'] -%}
    select
        model_id,
        '{{ segment }}' as segment_name,
        {{ "'all'" if segment == 'all' else segment }} as segment_value,
        stage,
        is_adopted,
        days_to_first_use,
        user_count,
        date_day
    from stage_counts
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

eligible_days as (

    select
        {{ cell | join(', ') }},
        sum(user_count) as eligible_users,
        sum(case when is_adopted then user_count else 0 end) as adopted_users,
        sum(case when stage = 'embedded' then user_count else 0 end) as embedded_users,
        date_day
    from staged
    group by {{ cell | join(', ') }}, date_day

),

first_uses as (

    select
        {%- for name in cell %}
        staged.{{ name }},
        {%- endfor %}
        staged.days_to_first_use,
        sum(sum(staged.user_count)) over (
            partition by staged.{{ cell | join(', staged.') }}, dates.date_day order by staged.days_to_first_use nulls last
        ) as faster_users,
        sum(sum(staged.user_count)) over (partition by staged.{{ cell | join(', staged.') }}, dates.date_day) as first_use_users,
        dates.date_day
    from staged
    inner join dates
        on staged.date_day <= dates.date_day
        and staged.date_day > {{ dbt.dateadd('day', -28, 'dates.date_day') }}
    where staged.days_to_first_use is not null
    group by staged.{{ cell | join(', staged.') }}, staged.days_to_first_use, dates.date_day

),

waits as (

    select
        {{ cell | join(', ') }},
        first_use_users,
        min(case when 2 * faster_users >= first_use_users then days_to_first_use end) as days_to_first_use,
        date_day
    from first_uses
    group by {{ cell | join(', ') }}, first_use_users, date_day

),

cells as (

    select {{ cell | join(', ') }}, min(date_day) as first_date from met_days group by {{ cell | join(', ') }}
    union all
    select {{ cell | join(', ') }}, min(date_day) as first_date from eligible_days group by {{ cell | join(', ') }}
    union all
    select model_id, 'all' as segment_name, 'all' as segment_value, first_decision_date as first_date from spans

),

-- a value has rows from the first day of its model on, so that none tells by its absence
series as (

    select
        {{ cell | join(', ') }},
        min(min(first_date)) over (partition by model_id) as first_date
    from cells
    group by {{ cell | join(', ') }}

),

dense as (

    select
        {%- for name in cell %}
        series.{{ name }},
        {%- endfor %}
        {%- for name in ['exposed_users', 'passive_users'] %}
        coalesce(met_days.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        {%- for name in ['active_users', 'new_users', 'returning_users', 'resurrected_users'] %}
        coalesce(life_days.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(left_7d.left_users, 0) as left_7d_users,
        coalesce(left_28d.left_users, 0) as left_28d_users,
        {%- for name in ['eligible_users', 'adopted_users', 'embedded_users'] %}
        coalesce(eligible_days.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(waits.first_use_users, 0) as first_use_users,
        waits.days_to_first_use,
        dates.date_day
    from series
    inner join dates on series.first_date <= dates.date_day
    {%- for name in ['met_days', 'life_days', 'left_7d', 'left_28d', 'eligible_days', 'waits'] %}
    left join {{ name }}
        on series.model_id = {{ name }}.model_id
        and series.segment_name = {{ name }}.segment_name
        and series.segment_value = {{ name }}.segment_value
        and dates.date_day = {{ name }}.date_day
    {%- endfor %}

),

windows as (

    select
        *,
        sum(active_users - left_7d_users) over ({{ so_far }}) as weekly_active_users,
        sum(active_users - left_28d_users) over ({{ so_far }}) as monthly_active_users,
        sum(new_users) over ({{ so_far }}) as ever_active_users,
        sum(active_users) over ({{ so_far }} rows between 27 preceding and current row) as active_user_days
    from dense

),

counted as (

    select
        *,
        greatest(eligible_users, monthly_active_users) as unit_count
    from windows

),

ranked as (

    {{ ranked_cells('counted', 'model_id, segment_name, date_day', 'segment_value') }}

),

-- users without a list count above; by them alone, few who are eligible would follow from the total
ranked_twice as (

    {{ ranked_cells('ranked', 'model_id, segment_name, date_day', 'segment_value', 'eligible_users', 'list_') }}

),

guarded as (

    select
        *,
        segment_name <> 'all'
        and (({{ is_hidden_cell() }}) or ({{ is_hidden_cell('eligible_users', 'list_') }})) as is_private
    from ranked_twice

),

deliveries as (

    select
        spans.model_id,
        usage.known_from as use_from,
        usage.known_through as use_through,
        lists.known_from as eligible_from,
        lists.known_through as eligible_through
    from spans
    left join watermarks as usage
        on spans.model_id = usage.model_id
        and usage.source_name = 'usage_events'
    left join watermarks as lists
        on spans.model_id = lists.model_id
        and lists.source_name = 'eligible_users'

),

reasoned as (

    select
        guarded.*,
        case
            when guarded.is_private then 'private'
            when deliveries.use_through is null or guarded.date_day > deliveries.use_through then {{ not_delivered('usage_events') }}
            when guarded.date_day < deliveries.use_from then 'partial_window'
        end as use_reason,
        case
            when guarded.is_private then 'private'
            when guarded.segment_name not in ('all', 'team', 'role') then 'not_by_segment'
            when deliveries.eligible_through is null or guarded.date_day > deliveries.eligible_through
                then {{ not_delivered('eligible_users') }}
            when guarded.date_day < deliveries.eligible_from then 'partial_window'
            when guarded.eligible_users = 0 then 'no_eligible_users'
        end as eligibility_reason,
        {{ dbt.datediff('deliveries.use_from', 'guarded.date_day', 'day') }} + 1 as known_days -- noqa: LT05
    from guarded
    inner join deliveries on guarded.model_id = deliveries.model_id

),

adoption_days as (

    select
        {{ cell | join(', ') }},
        use_reason,
        coalesce(use_reason, case when known_days < 28 then 'partial_window' end) as window_reason,
        coalesce(use_reason, case when known_days < 29 then 'partial_window' end) as lifecycle_reason,
        eligibility_reason,
        {%- for name in [
            'exposed_users', 'passive_users', 'active_users', 'weekly_active_users', 'monthly_active_users', 'new_users', 'returning_users',
            'resurrected_users', 'ever_active_users', 'active_user_days', 'eligible_users', 'adopted_users', 'embedded_users',
            'first_use_users', 'days_to_first_use', 'known_days'
        ] %}
        cast({{ name }} as bigint) as {{ name }},
        {%- endfor %}
        date_day as activity_date
    from reasoned

)

select * from adoption_days
