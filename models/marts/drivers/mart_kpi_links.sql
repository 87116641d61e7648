-- One row per declared link between metrics of a model: the slope that is observed against the one that is expected.
{%- set normal = 'links.interval_quantile' %}
with declared as (

    select * from {{ ref('cfg_kpi_links') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

associations as (

    select * from {{ ref('int_kpi_associations') }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

estimates as (

    select * from {{ ref('fct_lift_estimates') }}
    where
        segment_name = 'all'
        and totals = 'raw'
        and method in ('cuped', 'unadjusted', 'did')
        and status = 'ok'
        and std_error > 0

),

newest as (

    select
        experiment_id,
        max(as_of) as as_of
    from estimates
    group by experiment_id

),

-- the surer it is declared, the more it takes to say otherwise
links as (

    select
        declared.*,
        one.metric is not null and other.metric is not null as is_read,
        case declared.confidence when 'low' then 0.9 when 'high' then 0.99 else 0.95 end as interval_level,
        case declared.confidence
            when 'low' then 1.6448536269514722
            when 'high' then 2.5758293035489004
            else {{ quantile_of_one() }}
        end as interval_quantile
    from declared
    left join model_metrics as one
        on declared.model_id = one.model_id
        and declared.from_metric = one.metric
    left join model_metrics as other
        on declared.model_id = other.model_id
        and declared.to_metric = other.metric

),

widened as (

    select
        associations.*,
        case links.confidence
            when 'low' then {{ t_quantile('greatest(associations.week_count - 2, 1)', 1.6448536269514722) }}
            when 'high' then {{ t_quantile('greatest(associations.week_count - 2, 1)', 2.5758293035489004) }}
            else {{ t_quantile('greatest(associations.week_count - 2, 1)') }}
        end as t_quantile
    from associations
    inner join links
        on associations.model_id = links.model_id
        and associations.from_metric = links.from_metric
        and associations.to_metric = links.to_metric

),

-- of the experiments that moved the first metric beyond noise, the one that moved it most in standard errors
lifts as (

    select
        links.model_id,
        links.from_metric,
        links.to_metric,
        one.experiment_id,
        one.as_of,
        one.estimate as from_lift,
        other.estimate as to_lift,
        {{ square('one.std_error * ' ~ normal) }} as from_margin_square,
        {{ square('other.std_error * ' ~ normal) }} as to_margin_square,
        row_number() over (
            partition by links.model_id, links.from_metric, links.to_metric
            order by
                abs(one.estimate) / one.std_error desc nulls last,
                one.method asc nulls last, one.experiment_id asc nulls last, one.variant asc nulls last
        ) as place
    from links
    inner join experiments on links.model_id = experiments.model_id
    inner join newest on experiments.experiment_id = newest.experiment_id
    inner join estimates as one
        on newest.experiment_id = one.experiment_id
        and newest.as_of = one.as_of
        and links.from_metric = one.metric
    inner join estimates as other
        on one.experiment_id = other.experiment_id
        and one.as_of = other.as_of
        and one.variant = other.variant
        and one.method = other.method
        and links.to_metric = other.metric

),

-- the ratio of two lifts, by Fieller; both are taken as independent
ratios as (

    select
        *,
        to_lift / from_lift as slope,
        from_lift * from_lift - from_margin_square as scale,
        sqrt(greatest(
            from_lift * from_lift * to_lift * to_lift
            - (from_lift * from_lift - from_margin_square) * (to_lift * to_lift - to_margin_square), 0
        )) as root
    from lifts
    where place = 1 and from_lift * from_lift > from_margin_square

),

observed as (

    select
        links.*,
        ratios.experiment_id,
        associations.week_count,
        associations.reliability,
        case
            when ratios.experiment_id is not null then 'experiment'
            when associations.week_count >= 26 and associations.reliability >= 0.9 and not associations.shares_bricks and links.is_read
                then 'association'
        end as basis,
        case
            when ratios.experiment_id is not null then null
            when not links.is_read then 'metric_not_read'
            when associations.shares_bricks then 'shared_bricks'
            when associations.week_count < 26 then 'too_few_weeks'
            when associations.reliability is null then 'reliability_unknown'
            when associations.reliability < 0.9 then 'unreliable'
        end as no_basis_reason,
        coalesce(ratios.slope, associations.slope) as slope,
        coalesce(
            (ratios.from_lift * ratios.to_lift - ratios.root) / ratios.scale,
            associations.slope - associations.t_quantile * associations.slope_error
        ) as slope_low,
        coalesce(
            (ratios.from_lift * ratios.to_lift + ratios.root) / ratios.scale,
            associations.slope + associations.t_quantile * associations.slope_error
        ) as slope_high,
        coalesce(ratios.as_of, associations.last_week_end_date) as read_date
    from links
    inner join widened as associations
        on links.model_id = associations.model_id
        and links.from_metric = associations.from_metric
        and links.to_metric = associations.to_metric
    left join ratios
        on links.model_id = ratios.model_id
        and links.from_metric = ratios.from_metric
        and links.to_metric = ratios.to_metric

),

-- towards larger slopes in the direction that is expected
directed as (

    select
        *,
        case when expected_high <= 0 then -expected_high else expected_low end as near_end,
        case when expected_high <= 0 then -expected_low else expected_high end as far_end,
        case when expected_high <= 0 then -slope_high else slope_low end as directed_low,
        case when expected_high <= 0 then -slope_low else slope_high end as directed_high
    from observed

),

judged as (

    select
        *,
        case
            when basis is null or slope_low is null then 'unknown'
            when directed_low > far_end then 'stronger'
            when directed_high < near_end then 'weaker'
            when slope_low > 0 or slope_high < 0 or (expected_low <= 0 and expected_high >= 0) then 'holds'
            else 'unknown'
        end as status
    from directed

),

kpi_links as (

    select
        model_id,
        from_metric,
        to_metric,
        status,
        case
            when status <> 'unknown' then null
            when no_basis_reason is not null then no_basis_reason
            when slope_low is null then 'no_variation'
            else 'not_beyond_noise'
        end as reason,
        basis,
        case when basis = 'experiment' then experiment_id end as experiment_id,
        confidence,
        evidence,
        owner,
        expected_low,
        expected_high,
        case when basis is not null then slope end as observed_slope,
        case when basis is not null then slope_low end as observed_slope_low,
        case when basis is not null then slope_high end as observed_slope_high,
        cast(interval_level as {{ type_double() }}) as interval_level,
        cast(week_count as bigint) as week_count,
        reliability,
        case when basis is not null then cast(read_date as date) end as read_date
    from judged

)

select * from kpi_links
