-- One row per variant: the decision, why, and what a year of it is worth.
select
    text(variant) as variant,
    words(decision) as decision,
    coalesce(words(reason), '') as reason,
    readable(value_at_stake_amount, 'currency', 'not known', currency) as stake_text,
    readable(value_at_stake_low_amount, 'currency', 'not known', currency) as stake_low_text,
    readable(value_at_stake_high_amount, 'currency', 'not known', currency) as stake_high_text,
    words(primary_state) as primary_state,
    guardrail_pass_count,
    guardrail_fail_count,
    guardrail_unknown_count,
    text(owner) as owner
from mart_experiment_decisions
where experiment_id = '{{ experiment_id }}'
order by variant
