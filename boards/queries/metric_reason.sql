-- One row: the newest reason why the metric is not told for a model.
select words(not_ready_reason) as reason
from mart_scorecard
where metric = '{{ metric }}' and not_ready_reason is not null
order by model_id
limit 1
