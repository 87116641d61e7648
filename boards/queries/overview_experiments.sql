-- One row per experiment and variant with a decision.
select
    text(experiment_id) as experiment_id,
    page('experiment', experiment_id) as page,
    text(variant) as variant,
    text(hypothesis) as hypothesis,
    words(decision) as decision,
    words(reason) as reason,
    readable(value_at_stake_amount, 'currency', 'not known', currency) as stake_text,
    readable(value_at_stake_low_amount, 'currency', 'not known', currency) as stake_low_text,
    readable(value_at_stake_high_amount, 'currency', 'not known', currency) as stake_high_text,
    text(owner) as owner
from mart_experiment_decisions
order by experiment_id, variant
