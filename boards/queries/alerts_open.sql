-- One row per open alert.
select
    incident_severity as severity,
    words(status) as status,
    text(model_id) as model_id,
    words(metric) as metric,
    opened_date,
    words(cause_kind) as cause_kind,
    text(cause) as cause,
    text(owner) as owner,
    incident_hours_left as hours_left,
    text(playbook) as playbook
from mart_alerts
order by is_root desc, incident_severity, sla_hours, opened_date, alert_key
