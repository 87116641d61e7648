-- One row for the threshold in force, and one for the best.
select
    threshold,
    value_amount as value,
    'in force' as mark
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and is_threshold_in_force and threshold is not null and value_amount is not null
union all
select
    threshold,
    value_amount,
    'best'
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and is_best and threshold is not null and value_amount is not null
