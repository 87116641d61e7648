-- One row per model, version, judged period and bin of its scores: what was scored, and what came true.
with bin_periods as (

    select * from {{ ref('int_score_bin_periods') }}
    where bin_number > 0 and positive_count + negative_count > 0

),

edges as (

    select * from {{ ref('int_score_edges') }}

),

shown as (

    select * from {{ ref('fct_metric_values') }}
    where metric = 'calibration_error' and segment_name = 'all' and status = 'ready'

),

counted as (

    select
        bin_periods.*,
        edges.lower_edge,
        edges.upper_edge,
        edges.is_point_mass,
        bin_periods.positive_count + bin_periods.negative_count as judged_count,
        bin_periods.positive_row_count + bin_periods.negative_row_count >= {{ setting('minimum_cell') }} as has_enough_rows,
        {{ safe_ratio('bin_periods.positive_count', 'bin_periods.positive_count + bin_periods.negative_count') }} as observed_share,
        -- Kish's number of decisions: what as many equal weights would tell
        (bin_periods.positive_count + bin_periods.negative_count) * (bin_periods.positive_count + bin_periods.negative_count)
        / (bin_periods.positive_weight_squares + bin_periods.negative_weight_squares) as effective_count
    from bin_periods
    inner join edges
        on bin_periods.model_id = edges.model_id
        and bin_periods.bin_number = edges.bin_number
    inner join shown
        on bin_periods.model_id = shown.model_id
        and bin_periods.model_version = shown.model_version
        and bin_periods.period = shown.period
        and bin_periods.period_end_date = shown.period_end_date

),

calibration as (

    select
        model_id,
        model_version,
        period,
        cast(bin_number as bigint) as bin_number,
        lower_edge,
        upper_edge,
        judged_count,
        case when has_enough_rows then positive_count end as positive_count,
        case when has_enough_rows then score_sum / judged_count end as mean_score,
        case when has_enough_rows then observed_share end as observed_share,
        case when has_enough_rows then {{ wilson_bound('observed_share', 'effective_count', '-') }} end as observed_share_low,
        case when has_enough_rows then {{ wilson_bound('observed_share', 'effective_count', '+') }} end as observed_share_high,
        case when not has_enough_rows then 'too_few_units' end as reason,
        is_point_mass,
        period_end_date
    from counted

)

select * from calibration
