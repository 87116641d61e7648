-- One row: what the model is, and what to do next.
select
    words(status) as status,
    words(status_metric) as status_metric,
    open_alert_count,
    well_count,
    poor_count,
    not_ready_count,
    coalesce(evidence_grade, 'none') as evidence_grade,
    text(owner) as owner,
    words(next_step_metric) as next_step_metric,
    next_step
from mart_models
where model_id = '{{ model_id }}'
