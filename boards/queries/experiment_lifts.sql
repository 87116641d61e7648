-- One row per variant, metric and role: the lift, or why there is none.
select
    text(lifts.variant) as variant,
    coalesce(cards.label, lifts.metric) as metric,
    page('metric', lifts.metric) as page,
    lifts.role,
    words(lifts.direction) as direction,
    lifts.unit_count_control,
    lifts.unit_count_treatment,
    readable(lifts.relative_lift, 'share', coalesce(lifts.relative_reason, lifts.reason), '') as lift_text,
    readable(lifts.relative_ci_low, 'share', '', '') as low_text,
    readable(lifts.relative_ci_high, 'share', '', '') as high_text,
    words(lifts.guardrail_state) as guardrail_state
from mart_experiments as lifts
inner join mart_experiment_decisions as decisions
    on
        lifts.experiment_id = decisions.experiment_id and lifts.variant = decisions.variant and lifts.as_of = decisions.as_of
        and lifts.method = decisions.method and lifts.totals = decisions.totals
left join mart_metric_catalog as cards on lifts.metric = cards.metric
where lifts.experiment_id = '{{ experiment_id }}' and lifts.segment_name = 'all'
order by lifts.role <> 'primary', lifts.role = 'secondary', lifts.metric, lifts.variant
