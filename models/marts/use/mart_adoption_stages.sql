-- One row per model, segment, segment value, month end, stage at the month end before and stage: how many users took that step.
{%- set cell = ['model_id', 'segment_name', 'segment_value'] %}
{%- set people = ['all', 'team', 'role'] %}
{%- set stages = [
    {'stage': 'all'}, {'stage': 'not_exposed'}, {'stage': 'exposed'}, {'stage': 'trial'}, {'stage': 'regular'}, {'stage': 'embedded'},
    {'stage': 'lapsed'}, {'stage': 'not_eligible'}
] %}
with user_stages as (

    select
        *,
        {{ next_month_end('usage_date') }} as next_month_end_date
    from {{ ref('int_user_stages') }}
    where usage_date = cast({{ dbt.last_day('usage_date', 'month') }} as date)

),

months as (

    select
        *,
        coalesce(nullif(eligibility_reason, 'no_eligible_users'), window_reason) as known_reason,
        {{ next_month_end('activity_date') }} as next_month_end_date
    from {{ ref('int_adoption_days') }}
    where
        segment_name in ('{{ people | join("', '") }}')
        and activity_date = cast({{ dbt.last_day('activity_date', 'month') }} as date)

),

-- who is no longer eligible stands with the team and role of the month before
transitions as (

    select
        coalesce(now.model_id, before.model_id) as model_id,
        coalesce(now.team, before.team) as team,
        coalesce(now.role, before.role) as role,
        case when before.user_id is null then 'not_eligible' else before.stage end as previous_stage,
        case when now.user_id is null then 'not_eligible' else now.stage end as stage,
        coalesce(now.usage_date, before.next_month_end_date) as month_end_date
    from user_stages as now
    full outer join user_stages as before
        on now.user_id = before.user_id
        and now.model_id = before.model_id
        and now.usage_date = before.next_month_end_date

),

counts as (

    select
        model_id,
        team,
        role,
        previous_stage,
        stage,
        count(*) as user_count,
        month_end_date
    from transitions
    where stage is not null
    group by model_id, team, role, previous_stage, stage, month_end_date

),

spread as (

    {% for segment in people -%}
    {% for previous in ["'all'", 'previous_stage'] -%}
    select
        model_id,
        '{{ segment }}' as segment_name,
        {{ "'all'" if segment == 'all' else segment }} as segment_value,
        {{ previous }} as previous_stage,
        stage,
        user_count,
        month_end_date
    from counts
    where {{ "stage <> 'not_eligible'" if loop.first else 'previous_stage is not null' }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

summed as (

    select
        {{ cell | join(', ') }},
        previous_stage,
        stage,
        sum(user_count) as user_count,
        month_end_date
    from spread
    group by {{ cell | join(', ') }}, previous_stage, stage, month_end_date

),

stage_names as (

    {{ literal_rows(stages, ['stage']) }}

),

steps as (

    select
        previous_stages.stage as previous_stage,
        stage_names.stage
    from stage_names as previous_stages
    cross join stage_names
    where stage_names.stage <> 'all' and (stage_names.stage <> 'not_eligible' or previous_stages.stage not in ('all', 'not_eligible'))

),

-- a step that nobody took has a row too, so that none tells by its absence
dense as (

    select
        {%- for name in cell %}
        months.{{ name }},
        {%- endfor %}
        steps.previous_stage,
        steps.stage,
        case
            when months.known_reason is not null then months.known_reason
            when steps.previous_stage <> 'all' and months_before.model_id is null then 'partial_window'
            when steps.previous_stage <> 'all' then months_before.known_reason
        end as known_reason,
        coalesce(summed.user_count, 0) as user_count,
        months.activity_date as month_end_date
    from months
    cross join steps
    left join months as months_before
        on months.model_id = months_before.model_id
        and months.segment_name = months_before.segment_name
        and months.segment_value = months_before.segment_value
        and months.activity_date = months_before.next_month_end_date
    left join summed
        on months.model_id = summed.model_id
        and months.segment_name = summed.segment_name
        and months.segment_value = summed.segment_value
        and months.activity_date = summed.month_end_date
        and steps.previous_stage = summed.previous_stage
        and steps.stage = summed.stage

),

totalled as (

    select
        *,
        sum(user_count) over (partition by {{ cell | join(', ') }}, month_end_date, previous_stage) as row_count
    from dense

),

reasoned as (

    select
        *,
        case
            when known_reason is not null then known_reason
            when row_count = 0 then 'no_data'
            when row_count < {{ setting('minimum_cell') }} then 'too_few_units'
        end as reason
    from totalled

),

adoption_stages as (

    select
        {{ cell | join(', ') }},
        previous_stage,
        stage,
        reason,
        cast(case when known_reason is null then user_count end as bigint) as user_count,
        case when reason is null then {{ safe_ratio('user_count', 'row_count') }} end as user_share,
        month_end_date
    from reasoned

)

select * from adoption_stages
