-- Units per arm that show the minimum effect of each declared experiment at its alpha and power, with arms of one size:
-- 2 * variance per unit * ((z(1 - alpha / 2) + z(power)) / minimum effect)². A covariate makes it fewer.
with {{ history_ctes() }},

effects as (

    select
        *,
        case minimum_effect_kind when 'relative' then minimum_effect * abs(level) else minimum_effect end as absolute_effect
    from histories
    where is_primary

)

select
    experiments.experiment_id,
    experiments.primary_metric,
    effects.history_experiment_id,
    effects.level,
    effects.variance,
    experiments.alpha,
    experiments.power,
    experiments.minimum_effect,
    experiments.minimum_effect_kind,
    ceil(2 * effects.variance * power(effects.quantile_sum / nullif(effects.absolute_effect, 0), 2)) as units_per_arm
from experiments
left join effects on experiments.experiment_id = effects.experiment_id
order by experiments.experiment_id
