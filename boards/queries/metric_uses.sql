-- One row per place that reads the metric: experiment, goal, alert rule, gate of a release, link to a KPI.
select distinct
    'experiment' as used_in,
    text(experiment_id) as name,
    page('experiment', experiment_id) as page,
    role as as_what
from mart_experiments
where metric = '{{ metric }}'
union all
select distinct
    'goal',
    text(goal_id),
    'alerts.html',
    level
from mart_goals
where metric = '{{ metric }}'
union all
select distinct
    'alert rule',
    text(rule_id),
    'alerts.html',
    tier
from mart_alert_rules
where metric = '{{ metric }}'
union all
select distinct
    'exit criterion',
    text(model_id),
    page('model', model_id),
    stage
from mart_release_gates
where metric = '{{ metric }}'
union all
select distinct
    'link',
    text(model_id),
    page('model', model_id),
    format('{} to {}', from_metric, to_metric)
from mart_kpi_links
where '{{ metric }}' in (from_metric, to_metric)
order by used_in, name
