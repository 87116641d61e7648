-- One row per variant, metric and role over all units, by the estimator that decides.
select
    coalesce(cards.label, lifts.metric) as metric,
    format('{}, {}', coalesce(cards.label, lifts.metric), lifts.variant) as metric_and_variant,
    lifts.relative_lift,
    lifts.relative_ci_low,
    lifts.relative_ci_high
from mart_experiments as lifts
inner join mart_experiment_decisions as decisions
    on
        lifts.experiment_id = decisions.experiment_id and lifts.variant = decisions.variant and lifts.as_of = decisions.as_of
        and lifts.method = decisions.method and lifts.totals = decisions.totals
left join mart_metric_catalog as cards on lifts.metric = cards.metric
where lifts.experiment_id = '{{ experiment_id }}' and lifts.segment_name = 'all' and lifts.relative_ci_low is not null
order by lifts.role <> 'primary', lifts.role = 'secondary', lifts.metric, lifts.variant
