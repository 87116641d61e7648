-- One row: the newest reason why a lift of the experiment is not told.
select words(coalesce(relative_reason, reason)) as reason
from mart_experiments
where experiment_id = '{{ experiment_id }}' and segment_name = 'all' and coalesce(relative_reason, reason) is not null
order by as_of desc
limit 1
