-- One row per threshold: what deciding there would be worth.
select
    threshold,
    value_amount as value
from mart_threshold_curve
where model_id = '{{ model_id }}' and period = 'all' and threshold is not null and value_amount is not null
order by threshold
