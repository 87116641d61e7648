-- One row per release.
select
    text(model_version) as model_version,
    cast(deployed_at as date) as deployed_date,
    words(stage) as stage,
    text(reason) as reason,
    words(gate_status) as gate_status,
    words(coalesce(gate_metric, gate_reason)) as gate,
    text(approver) as approver
from mart_releases
where model_id = '{{ model_id }}'
order by deployed_at desc nulls last, model_version
