-- One row per model that the metric is read for: value, target, status.
select
    model_id,
    page('model', model_id) as page,
    text(model_name) as model_name,
    role,
    readable(value, unit, not_ready_reason, '{{ currency }}') as value_text,
    readable(value_low, unit, '', '{{ currency }}') as low_text,
    readable(value_high, unit, '', '{{ currency }}') as high_text,
    readable(target, unit, 'none', '{{ currency }}') as target_text,
    readable(floor, unit, 'none', '{{ currency }}') as floor_text,
    words(status) as status
from mart_scorecard
where metric = '{{ metric }}' and segment_name = 'all'
order by model_name
