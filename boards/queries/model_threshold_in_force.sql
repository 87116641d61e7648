-- One row: the threshold in force.
select
    threshold,
    value_amount as value
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and is_threshold_in_force and threshold is not null and value_amount is not null
