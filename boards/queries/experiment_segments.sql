-- One row per variant and segment value of the primary metric.
select
    text(lifts.variant) as variant,
    text(lifts.segment_name) as segment_name,
    text(lifts.segment_value) as segment_value,
    lifts.unit_count_control,
    lifts.unit_count_treatment,
    readable(lifts.relative_lift, 'share', coalesce(lifts.relative_reason, lifts.reason), '') as lift_text,
    readable(lifts.relative_ci_low, 'share', '', '') as low_text,
    readable(lifts.relative_ci_high, 'share', '', '') as high_text
from mart_experiments as lifts
inner join mart_experiment_decisions as decisions
    on
        lifts.experiment_id = decisions.experiment_id and lifts.variant = decisions.variant and lifts.as_of = decisions.as_of
        and lifts.method = decisions.method and lifts.totals = decisions.totals
where lifts.experiment_id = '{{ experiment_id }}' and lifts.segment_name <> 'all' and lifts.role = 'primary'
order by lifts.segment_name, lifts.segment_value, lifts.variant
