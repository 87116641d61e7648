-- The effect on each metric that the units expected of each declared experiment can show at its alpha and power, with two arms
-- of one size: (z(1 - alpha / 2) + z(power)) * sqrt(4 * variance per unit / units over both arms). A covariate makes it smaller.
with {{ history_ctes() }},

effects as (

    select
        *,
        quantile_sum * sqrt(4 * variance / planned_units) as detectable_effect
    from histories

)

select
    experiment_id,
    metric,
    is_primary,
    history_experiment_id,
    level,
    variance,
    planned_units,
    detectable_effect,
    detectable_effect / nullif(abs(level), 0) as relative_detectable_effect
from effects
order by experiment_id asc, is_primary desc, metric asc
