-- One row: the best threshold.
select
    threshold,
    value_amount as value
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and is_best and threshold is not null and value_amount is not null
