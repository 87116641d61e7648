-- One row per goal that has a way to go.
select
    text(goal_id) as goal_id,
    attainment
from mart_goals
where is_latest and attainment is not null
order by attainment
