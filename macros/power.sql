{# How large an experiment must be. #}

{# CTE `histories`: level and variance per unit of each experiment's metrics, from its own control, else from the largest control
   of another experiment on the same model, kind of unit and window, by the totals that decide. What the units of a cluster share is
   in that variance; NULL where there is none. #}
{% macro history_ctes() -%}
experiments as (

    select
        *,
        {{ normal_quantile('1 - alpha / 2') }} + {{ normal_quantile('power') }} as quantile_sum
    from {{ ref('experiments') }}

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

{# The quantile of the standard normal distribution at a share in (0, 1), to nine digits: Acklam's rational approximations. #}
{% macro normal_quantile(share) -%}
    {%- set p = '(' ~ share ~ ')' -%}
    {%- set centre = '(' ~ p ~ ' - 0.5)' -%}
    {%- set square = '(' ~ centre ~ ' * ' ~ centre ~ ')' -%}
    {%- set a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690, -30.66479806614716, 2.506628277459239] -%}
    {%- set b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1.0] -%}
    {%- set c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783] -%}
    {%- set d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0] -%}
    {%- set lower = 'sqrt(-2 * ln(' ~ p ~ '))' -%}
    {%- set upper = 'sqrt(-2 * ln(1 - ' ~ p ~ '))' -%}
    case
        when {{ p }} < 0.02425 then {{ polynomial(c, lower) }} / {{ polynomial(d, lower) }}
        when {{ p }} > 0.97575 then -{{ polynomial(c, upper) }} / {{ polynomial(d, upper) }}
        else {{ centre }} * {{ polynomial(a, square) }} / {{ polynomial(b, square) }}
    end
{%- endmacro %}

{# The quantile of Student's t distribution where that of the normal is `z`, to five digits from nine degrees of freedom on: the
   expansion of Cornish and Fisher. #}
{% macro t_quantile(freedom, z=1.959963984540054) -%}
    {%- set n = 'cast(' ~ freedom ~ ' as ' ~ type_double() ~ ')' -%}
    {%- set terms = [
        (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
        (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
        (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
        (z ** 3 + z) / 4,
        z,
    ] -%}
    {{ polynomial(terms, '(1 / ' ~ n ~ ')') }}
{%- endmacro %}

{# A polynomial by Horner's rule, highest power first. #}
{% macro polynomial(coefficients, x) -%}
    {%- set sum = namespace(sql=coefficients[0] | string) -%}
    {%- for coefficient in coefficients[1:] -%}
        {%- set sum.sql = '(' ~ sum.sql ~ ' * ' ~ x ~ ' + ' ~ coefficient ~ ')' -%}
    {%- endfor -%}
    {{ sum.sql }}
{%- endmacro %}
