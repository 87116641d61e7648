-- One row per metric, day, model, version, segment and segment value: the waist.
-- depends_on: {{ ref('int_touched_dates') }}
with bricks as (

    select * from {{ ref('fct_bricks') }}

),

metric_bricks as (

    {{ literal_rows(
        metric_bricks() if execute else [{'metric': ''}],
        ['metric', 'role', 'brick', 'segment_name', 'is_versioned', 'has_denominator', 'is_additive', 'is_rebuilt', 'counts_once', 'counts_kept', 'counts_squares', 'counts_units']
    ) }}

),

roles as (

    select
        metric_bricks.metric,
        metric_bricks.role,
        metric_bricks.has_denominator,
        metric_bricks.is_additive,
        metric_bricks.counts_once,
        metric_bricks.counts_kept,
        metric_bricks.counts_squares,
        metric_bricks.counts_units,
        bricks.metric_date,
        bricks.model_id,
        case when metric_bricks.is_versioned then bricks.model_version else 'all' end as model_version,
        bricks.segment_name,
        bricks.segment_value,
        bricks.amount,
        bricks.square_sum,
        bricks.unit_count
    from bricks
    inner join metric_bricks
        on bricks.brick = metric_bricks.brick
        and bricks.segment_name = metric_bricks.segment_name
    where metric_bricks.is_rebuilt or {{ touched('bricks.metric_date') }}

),

totals as (

    select
        metric,
        metric_date,
        model_id,
        model_version,
        segment_name,
        segment_value,
        coalesce(sum(amount) filter (where role = 'numerator'), 0) as numerator,
        coalesce(sum(amount) filter (where counts_once), 0) as numerator_once,
        case when has_denominator then coalesce(sum(amount) filter (where role = 'denominator'), 0) end as denominator,
        coalesce(sum(square_sum) filter (where counts_squares), 0) as weight_squares,
        coalesce(sum(amount) filter (where role = 'excluded'), 0) as excluded_count,
        coalesce(sum(amount) filter (where counts_kept), 0) as kept_count,
        cast(coalesce(sum(unit_count) filter (where counts_units), 0) as bigint) as unit_count,
        is_additive
    from roles
    group by metric, metric_date, model_id, model_version, segment_name, segment_value, has_denominator, is_additive

),

metric_days as (

    select
        metric,
        metric_date,
        model_id,
        model_version,
        segment_name,
        segment_value,
        numerator,
        numerator_once,
        denominator,
        weight_squares,
        excluded_count,
        kept_count,
        unit_count,
        is_additive,
        {{ dbt.hash("metric || '|' || model_id || '|' || model_version || '|' || segment_name || '|' || segment_value") }} as series_id
    from totals
    where numerator <> 0 or coalesce(denominator, 0) <> 0 or excluded_count <> 0 or kept_count <> 0 or unit_count <> 0

)

select * from metric_days
