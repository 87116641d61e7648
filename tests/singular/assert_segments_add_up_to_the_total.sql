-- Rows are metric days whose values of one segment do not sum to the total.
with metric_days as (

    select * from {{ ref('fct_metrics') }}
    where is_additive

),

totals as (

    select * from metric_days
    where segment_name = 'all'

),

segment_sums as (

    select
        metric,
        metric_date,
        model_id,
        model_version,
        segment_name,
        sum(numerator) as numerator,
        coalesce(sum(denominator), 0) as denominator,
        sum(excluded_count) as excluded_count,
        sum(unit_count) as unit_count
    from metric_days
    where segment_name <> 'all'
    group by metric, metric_date, model_id, model_version, segment_name

)

select
    segment_sums.metric,
    segment_sums.metric_date,
    segment_sums.model_id,
    segment_sums.segment_name
from segment_sums
left join totals
    on segment_sums.metric = totals.metric
    and segment_sums.metric_date = totals.metric_date
    and segment_sums.model_id = totals.model_id
    and segment_sums.model_version = totals.model_version
where
    totals.metric is null
    or abs(segment_sums.numerator - totals.numerator) > 1e-9 * (1 + abs(totals.numerator))
    or abs(segment_sums.denominator - coalesce(totals.denominator, 0)) > 1e-9 * (1 + abs(coalesce(totals.denominator, 0)))
    or abs(segment_sums.excluded_count - totals.excluded_count) > 1e-9 * (1 + totals.excluded_count)
    or segment_sums.unit_count <> totals.unit_count
