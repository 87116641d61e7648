{# How large an experiment must be. #}

{# CTE `histories`: level and variance per unit of each experiment's metrics, from its own control, else from the largest control
   of another experiment on the same model, kind of unit and window, by the totals that decide. What the units of a cluster share is
   in that variance; NULL where there is none. #}
{% macro history_ctes() -%}
experiments as (

    select
        *,
        {{ normal_quantile('1 - alpha / 2') }} + {{ normal_quantile('power') }} as quantile_sum
    from {{ ref('cfg_experiments') }}

),

moments as (

    select * from {{ ref('fct_moments') }}
    -- a cap of zero leaves nothing of a total
    where segment_name = 'all' and pair_role <> 'uptake' and n_rows > 1 and coalesce(cap_value, 1) <> 0

),

levels as (

    select
        *,
        case pair_role when 'denominator' then k_d + s_d / n_units else 1 end as base,
        (k_y + s_y / n_units) / case pair_role when 'denominator' then nullif(k_d + s_d / n_units, 0) else 1 end as level
    from moments

),

-- residual of a row: y - level * d, where d is 1 per unit unless the metric is a ratio; the shift is put back
residuals as (

    select
        *,
        case pair_role when 'denominator' then level else 0 end as slope,
        k_y - level * case pair_role when 'denominator' then k_d else 1 end as shift
    from levels

),

arms as (

    select
        experiment_id,
        variant,
        metric,
        totals,
        level,
        n_units,
        1.0 * n_units / n_rows as units_per_row,
        n_rows / (n_rows - 1.0) / n_units / (base * base) * (
            s_yy + shift * shift * s_mm + 2 * shift * s_my
            + slope * slope * coalesce(s_dd, 0) - 2 * slope * coalesce(s_yd, 0) - 2 * slope * shift * coalesce(s_md, 0)
        ) as variance
    from residuals

),

candidates as (

    select
        experiments.experiment_id,
        arms.metric,
        arms.experiment_id as history_experiment_id,
        arms.level,
        -- a smaller one is what rounding leaves
        case when arms.variance > 1e-12 * arms.level * arms.level then arms.variance end as variance,
        experiments.quantile_sum,
        coalesce(experiments.expected_units, 5000) * arms.units_per_row as planned_units,
        experiments.minimum_effect,
        experiments.minimum_effect_kind,
        arms.metric = experiments.primary_metric as is_primary,
        row_number() over (
            partition by experiments.experiment_id, arms.metric
            order by
                case when arms.experiment_id = experiments.experiment_id then 0 else 1 end,
                arms.n_units desc,
                arms.experiment_id,
                -- what is never capped is judged by raw totals
                case when arms.totals = experiments.decided_on then 0 else 1 end
        ) as choice
    from experiments
    inner join experiments as others
        on experiments.model_id = others.model_id
        and experiments.unit_type = others.unit_type
        and experiments.window_days = others.window_days
    inner join arms
        on others.experiment_id = arms.experiment_id
        and others.control_variant = arms.variant
        and (arms.totals = 'raw' or arms.totals = experiments.decided_on)

),

histories as (

    select * from candidates
    where choice = 1

)
{%- endmacro %}
