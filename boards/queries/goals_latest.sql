-- One row per goal, on its latest day.
select
    goals.level,
    text(goals.goal_id) as goal_id,
    text(goals.parent_goal_id) as parent_goal_id,
    text(goals.model_id) as model_id,
    words(goals.metric) as metric,
    readable(goals.value, cards.unit, goals.not_ready_reason, '{{ currency }}') as value_text,
    readable(goals.target, cards.unit, '', '{{ currency }}') as target_text,
    readable(goals.attainment, 'share', goals.not_ready_reason, '') as attainment_text,
    goals.period_end_date,
    words(goals.status) as status,
    words(goals.outlook) as outlook,
    goals.due,
    text(goals.owner) as owner
from mart_goals as goals
left join mart_metric_catalog as cards on goals.metric = cards.metric
where goals.is_latest
order by goals.level = 'individual', goals.level = 'team', goals.parent_goal_id nulls first, goals.goal_id
