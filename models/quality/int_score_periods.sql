-- One row per model, version, segment, segment value and period with judged scores: how well the scores tell the classes apart.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value'] %}
{%- set weights = [
    'positive_row_count', 'negative_row_count', 'positive_count', 'negative_count', 'positive_weight_squares', 'negative_weight_squares'
] %}
{%- set sums = weights + [
    'score_sum', 'squared_error_sum', 'log_loss_sum', 'score_variance', 'calibration_residual', 'calibration_variance'
] %}
{%- set period_cell = cell + ['period', 'period_end_date'] %}
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where not is_missing and decision_date < {{ as_of_date() }} and positive_count + negative_count > 0

),

edges as (

    select * from {{ ref('int_score_edges') }}

),

exact_shapes as (

    select * from {{ ref('int_exact_score_shapes') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{{ spread_ctes('score_bins', 'decision_date', ['bin_number'], sums) }},

{{ period_ctes(cell + ['bin_number'], sums) }},

binned as (

    select
        periods.*,
        periods.bin_number as place,
        edges.is_point_mass as is_tied
    from periods
    inner join edges
        on periods.model_id = edges.model_id
        and periods.bin_number = edges.bin_number
    where periods.positive_count + periods.negative_count > 0

),

{{ score_shape_ctes('binned', period_cell) }},

-- sums over all bins need no order
calibrations as (

    select
        {{ period_cell | join(', ') }},
        sum(positive_count + negative_count) as judged_count,
        sum(positive_count) as positive_count,
        sum(negative_count) as negative_count,
        sum(score_sum) as score_sum,
        sum(squared_error_sum) as squared_error_sum,
        sum(log_loss_sum) as log_loss_sum,
        sum(abs(positive_count - score_sum)) as distance_sum,
        sum(sqrt({{ 2 / 3.141592653589793 }} * score_variance)) as expected_distance_sum,
        sum(calibration_residual) as calibration_residual,
        sum(calibration_variance) as calibration_variance
    from binned
    group by {{ period_cell | join(', ') }}

),

score_periods as (

    select
        {%- for name in cell + ['period'] %}
        calibrations.{{ name }},
        {%- endfor %}
        shapes.positive_row_count,
        shapes.negative_row_count,
        calibrations.judged_count,
        calibrations.positive_count,
        calibrations.negative_count,
        calibrations.positive_count / calibrations.judged_count as prevalence,
        {%- for name in [
            'roc_auc', 'roc_auc_low', 'roc_auc_high', 'roc_auc_bound', 'roc_auc_error',
            'average_precision', 'average_precision_low', 'average_precision_high', 'ks'
        ] %}
        case when exact_shapes.model_id is null then shapes.{{ name }} else exact_shapes.{{ name }} end
            as {{ name }},
        {%- endfor %}
        case when models.score_is_probability then calibrations.log_loss_sum / calibrations.judged_count end as log_loss,
        case when models.score_is_probability then calibrations.squared_error_sum / calibrations.judged_count end as brier_score,
        case when models.score_is_probability then calibrations.distance_sum / calibrations.judged_count end as calibration_error,
        case when models.score_is_probability then calibrations.expected_distance_sum / calibrations.judged_count end
            as calibration_error_expected,
        case
            when models.score_is_probability and calibrations.calibration_variance > 0
                then calibrations.calibration_residual / sqrt(calibrations.calibration_variance)
        end as calibration_z,
        case
            when models.score_is_probability
                then {{ safe_ratio('calibrations.positive_count', 'calibrations.score_sum') }}
        end as observed_expected_ratio,
        coalesce(exact_shapes.reason, shapes.reason) as reason,
        exact_shapes.model_id is not null as is_exact,
        calibrations.period_end_date
    from calibrations
    inner join models on calibrations.model_id = models.model_id
    inner join binned_shapes as shapes
        on calibrations.model_id = shapes.model_id
        {%- for name in period_cell[1:] %}
        and calibrations.{{ name }} = shapes.{{ name }}
        {%- endfor %}
    left join exact_shapes
        on calibrations.model_id = exact_shapes.model_id
        {%- for name in period_cell[1:] %}
        and calibrations.{{ name }} = exact_shapes.{{ name }}
        {%- endfor %}

)

select * from score_periods
