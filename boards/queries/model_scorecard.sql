-- One row per metric that is judged for the model.
select
    metric,
    page('metric', metric) as page,
    label,
    pillar,
    role,
    readable(value, unit, not_ready_reason, '{{ currency }}') as value_text,
    readable(value_low, unit, '', '{{ currency }}') as low_text,
    readable(value_high, unit, '', '{{ currency }}') as high_text,
    readable(previous_value, unit, coalesce(not_ready_reason, 'not known'), '{{ currency }}') as previous_text,
    readable(target, unit, '', '{{ currency }}') as target_text,
    words(status) as status,
    next_step
from mart_scorecard
where model_id = '{{ model_id }}' and segment_name = 'all' and role in ('headline', 'judged')
order by pillar, role, label
