-- One row per declared link between metrics of a model: how the second moved with the first from week to week.
with links as (

    select * from {{ ref('cfg_kpi_links') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where
        model_version = 'all'
        and segment_name = 'all'
        and period = '7d'
        and status = 'ready'

),

-- weeks that do not overlap
week_ends as (

    select distinct cast({{ dbt.dateadd('day', 6, 'week_start_date') }} as date) as week_end_date
    from {{ ref('dim_dates') }}

),

paired as (

    select
        links.model_id,
        links.from_metric,
        links.to_metric,
        one.value as from_value,
        other.value as to_value,
        (one.value_high - one.value_low) / (2 * {{ quantile_of_one() }}) as from_noise,
        week_ends.week_end_date
    from links
    inner join metric_values as one
        on links.model_id = one.model_id
        and links.from_metric = one.metric
    inner join metric_values as other
        on links.model_id = other.model_id
        and links.to_metric = other.metric
        and one.period_end_date = other.period_end_date
    inner join week_ends on one.period_end_date = week_ends.week_end_date

),

centred as (

    select
        *,
        from_value - avg(from_value) over (partition by model_id, from_metric, to_metric) as from_step,
        to_value - avg(to_value) over (partition by model_id, from_metric, to_metric) as to_step
    from paired

),

lagged as (

    select
        *,
        lag(from_step) over (partition by model_id, from_metric, to_metric order by week_end_date nulls last) as from_before,
        lag(to_step) over (partition by model_id, from_metric, to_metric order by week_end_date nulls last) as to_before
    from centred

),

summed as (

    select
        model_id,
        from_metric,
        to_metric,
        count(*) as week_count,
        sum(from_step * from_step) as from_squares,
        sum(to_step * to_step) as to_squares,
        sum(from_step * to_step) as products,
        sum(from_step * from_before) as from_lag,
        sum(to_step * to_before) as to_lag,
        avg(from_noise * from_noise) as noise_variance,
        count(from_noise) as noise_count,
        max(week_end_date) as last_week_end_date
    from lagged
    group by model_id, from_metric, to_metric

),

-- what both have in common with the week before tells less than as many weeks on their own
measured as (

    select
        *,
        {{ safe_ratio('products', 'from_squares') }} as slope,
        least(greatest(
            {{ safe_ratio('from_lag', 'from_squares') }} * {{ safe_ratio('to_lag', 'to_squares') }}, 0
        ), 0.9) as shared_memory,
        greatest(to_squares - {{ safe_ratio('products * products', 'from_squares') }}, 0) as residual_squares
    from summed

),

associations as (

    select
        links.model_id,
        links.from_metric,
        links.to_metric,
        coalesce(measured.week_count, 0) as week_count,
        measured.slope,
        case
            when measured.week_count > 2 then sqrt(
                measured.residual_squares / (measured.week_count - 2) / nullif(measured.from_squares, 0)
                * (1 + coalesce(measured.shared_memory, 0)) / (1 - coalesce(measured.shared_memory, 0))
            )
        end as slope_error,
        case
            when measured.noise_count = measured.week_count and measured.week_count > 1
                then 1 - measured.noise_variance / nullif(measured.from_squares / (measured.week_count - 1), 0)
        end as reliability,
        coalesce(
            one.numerator_brick in (other.numerator_brick, coalesce(other.denominator_brick, other.numerator_brick))
            or one.denominator_brick in (other.numerator_brick, coalesce(other.denominator_brick, other.numerator_brick)), false
        ) as shares_bricks,
        measured.last_week_end_date
    from links
    inner join metrics as one on links.from_metric = one.metric
    inner join metrics as other on links.to_metric = other.metric
    left join measured
        on links.model_id = measured.model_id
        and links.from_metric = measured.from_metric
        and links.to_metric = measured.to_metric

)

select * from associations
