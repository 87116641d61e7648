-- One row per goal and day on which a window of 28 days ends: at the end of each month, and at the last day known to all models of it.
with goals as (

    select * from {{ ref('cfg_metric_targets') }}
    where goal_id is not null

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period = '28d' and model_version = 'all'

),

dates as (

    select * from {{ ref('dim_dates') }}

),

-- goals of one metric end on one day, so that parts add up to their whole
known as (

    select
        goals.metric,
        coalesce(
            min(
                case
                    when model_metrics.known_through >= greatest(model_metrics.first_date, model_metrics.known_from)
                        then model_metrics.known_through
                end
            ),
            cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date)
        ) as known_through
    from goals
    left join model_metrics
        on goals.metric = model_metrics.metric
        and goals.model_id in (model_metrics.model_id, '(all)')
    group by goals.metric

),

ends as (

    select
        known.metric,
        dates.date_day as period_end_date,
        dates.date_day = known.known_through as is_latest
    from known
    inner join dates
        on known.known_through = dates.date_day
        or (dates.date_day < known.known_through and dates.date_day = cast({{ dbt.last_day('dates.date_day', 'month') }} as date))

),

members as (

    select
        goals.*,
        ends.period_end_date,
        ends.is_latest,
        model_metrics.model_id as member_model_id,
        coalesce(case when goals.model_id <> '(all)' then model_metrics.direction end, metrics.direction) as direction,
        metrics.denominator_brick is not null as has_denominator,
        metrics.is_additive
    from goals
    inner join metrics on goals.metric = metrics.metric
    inner join ends
        on goals.metric = ends.metric
        and {{ valid_at('goals', 'ends.period_end_date') }}
    left join model_metrics
        on goals.metric = model_metrics.metric
        and goals.model_id in (model_metrics.model_id, '(all)')

),

goal_periods as (

    select
        members.goal_id,
        members.parent_goal_id,
        members.level,
        members.metric,
        members.model_id,
        members.segment_name,
        members.segment_value,
        members.owner,
        members.direction,
        case
            when count(metric_values.value) = count(*) then null
            when count(members.member_model_id) = 0 then 'not_read'
            else coalesce(min(metric_values.reason), 'no_data')
        end as not_ready_reason,
        case
            when count(metric_values.value) < count(*) then null
            when members.model_id <> '(all)' then max(metric_values.value)
            when members.has_denominator
                then {{ safe_ratio('sum(metric_values.numerator_once)', 'sum(metric_values.denominator)') }}
            else sum(metric_values.numerator_once)
        end as value,
        case when members.model_id <> '(all)' then max(metric_values.value_low) end as value_low,
        case when members.model_id <> '(all)' then max(metric_values.value_high) end as value_high,
        case when count(metric_values.value) = count(*) then sum(metric_values.numerator) end as numerator,
        case when count(metric_values.value) = count(*) then sum(metric_values.numerator_once) end as numerator_once,
        case
            when count(metric_values.value) < count(*) then null
            when members.has_denominator then sum(metric_values.denominator)
            else 1
        end as denominator,
        members.target,
        members.floor,
        members.baseline,
        coalesce(members.weight, 1) as weight,
        members.is_additive,
        members.is_latest,
        members.due,
        members.valid_from,
        cast({{ dbt.dateadd('day', -27, 'members.period_end_date') }} as date) as period_start_date,
        members.period_end_date
    from members
    left join metric_values
        on members.metric = metric_values.metric
        and members.member_model_id = metric_values.model_id
        and members.segment_name = metric_values.segment_name
        and members.segment_value = metric_values.segment_value
        and members.period_end_date = metric_values.period_end_date
    group by
        members.goal_id, members.parent_goal_id, members.level, members.metric, members.model_id, members.segment_name,
        members.segment_value, members.owner, members.direction, members.target, members.floor, members.baseline, members.weight,
        members.has_denominator, members.is_additive, members.is_latest, members.due, members.valid_from, members.period_end_date

)

select * from goal_periods
