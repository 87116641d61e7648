-- One row per bin of scores, over all judged days and versions.
select
    mean_score,
    observed_share,
    observed_share_low,
    observed_share_high
from mart_calibration
where
    model_id = '{{ model_id }}' and period = 'all' and model_version = 'all'
    and mean_score is not null and observed_share is not null
order by mean_score
