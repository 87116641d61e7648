-- One row per model, version, segment, segment value and period: how good the model was.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value', 'period', 'period_end_date'] %}
{%- set numbers = {
    'precision': 'precision', 'recall': 'recall', 'f1': 'f1_score', 'false_positive_rate': 'false_positive_rate',
    'accuracy': 'accuracy', 'brier_score': 'brier_score', 'roc_auc': 'roc_auc', 'calibration_error': 'calibration_error',
    'mae': 'mean_absolute_error', 'rmse': 'rmse', 'bias': 'prediction_bias', 'wape': 'wape',
    'ndcg_at_10': 'ndcg_at_10', 'mrr': 'mean_reciprocal_rank', 'hit_rate_at_1': 'hit_rate_at_1'
} %}
{%- set of_lists = ["'ndcg_at_10'", "'mean_reciprocal_rank'", "'hit_rate_at_1'"] %}
{%- set of_order = ['roc_auc_bound', 'average_precision', 'average_precision_low', 'average_precision_high', 'ks'] %}
{#- however the labels that are due and missing turn out: what is right for certain, and of how many -#}
{%- set missing = '(label_periods.pending_count + label_periods.unlabelled_count)' %}
{%- set missing_called = 'pivoted.missing_positive_count' %}
{%- set missing_passed = 'greatest(' ~ missing ~ ' - pivoted.missing_positive_count, 0)' %}
{%- set limits = {
    'precision_at_least': ['pivoted.right_positive_count', 'pivoted.positive_count + ' ~ missing_called],
    'precision_at_most': ['pivoted.right_positive_count + ' ~ missing_called, 'pivoted.positive_count + ' ~ missing_called],
    'recall_at_least':
        ['pivoted.true_positive_count', 'pivoted.true_positive_count + pivoted.false_negative_count + ' ~ missing_passed],
    'recall_at_most': [
        'pivoted.true_positive_count + ' ~ missing_called,
        'pivoted.true_positive_count + pivoted.false_negative_count + ' ~ missing_called
    ],
    'accuracy_at_least': ['pivoted.correct_count', 'pivoted.judged_count + ' ~ missing],
    'accuracy_at_most': ['pivoted.correct_count + ' ~ missing, 'pivoted.judged_count + ' ~ missing],
} %}
{%- set of_probability = ['log_loss', 'calibration_error_expected', 'calibration_z', 'observed_expected_ratio'] %}
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where
        period <> 'day'
        and metric in (
            {%- for metric in numbers.values() %}
            '{{ metric }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )

),

models as (

    select * from {{ ref('dim_models') }}

),

label_periods as (

    select * from {{ ref('int_label_periods') }}

),

score_periods as (

    select * from {{ ref('int_score_periods') }}

),

class_periods as (

    select * from {{ ref('int_class_periods') }}

),

number_periods as (

    select * from {{ ref('int_number_periods') }}

),

comparisons as (

    select * from {{ ref('int_version_differences') }}

),

first_versions as (

    select * from {{ ref('int_version_predecessors') }}
    where compared_with is null

),

clusters as (

    select * from {{ ref('int_row_clusters') }}

),

pivoted as (

    select
        {{ cell | join(', ') }},
        {%- for name, metric in numbers.items() %}
        max(case when metric = '{{ metric }}' then value end) as {{ name }},
        {%- endfor %}
        max(case when metric = 'roc_auc' then value_low end) as roc_auc_low,
        max(case when metric = 'roc_auc' then value_high end) as roc_auc_high,
        max(case when metric = 'precision' and status = 'ready' then numerator end) as right_positive_count,
        max(case when metric = 'precision' and status = 'ready' then denominator end) as positive_count,
        max(case when metric = 'precision' and status = 'ready' then excluded_count end) as missing_positive_count,
        max(case when metric = 'accuracy' and status = 'ready' then numerator end) as correct_count,
        max(case when metric = 'accuracy' and status = 'ready' then denominator end) as judged_count,
        max(case when metric = 'recall' and status = 'ready' then numerator end) as true_positive_count,
        max(case when metric = 'recall' and status = 'ready' then denominator - numerator end) as false_negative_count,
        max(case when metric = 'false_positive_rate' and status = 'ready' then numerator end) as false_positive_count,
        max(case when metric = 'false_positive_rate' and status = 'ready' then denominator - numerator end) as true_negative_count,
        max(case when metric = 'roc_auc' and (status = 'ready' or reason in ('one_class', 'equal_scores')) then 1 else 0 end) = 1
            as shows_scores,
        max(case when metric = 'roc_auc' then 1 else 0 end) as has_scores,
        max(case when metric = 'roc_auc' then reason end) as score_reason,
        max(case when metric in ('precision', 'accuracy', 'mean_absolute_error') then reason end) as decision_reason,
        -- of lists there are fewer than of decisions; where a segment value hides them, it may show its decisions
        max(
            case
                when metric in ({{ of_lists | join(', ') }}) then 0
                when reason = 'private' or (reason = 'partial_window' and segment_name <> 'all') then 1
                else 0
            end
        ) = 1 as is_hidden
    from metric_values
    group by {{ cell | join(', ') }}

),

quality as (

    select
        {%- for name in cell[:5] %}
        pivoted.{{ name }},
        {%- endfor %}
        models.task,
        {%- for name in ['matured_count', 'pending_count', 'unlabelled_count', 'late_label_count'] %}
        case when not pivoted.is_hidden then label_periods.{{ name }} end as {{ name }},
        {%- endfor %}
        case when pivoted.shows_scores then score_periods.prevalence end as prevalence,
        pivoted.roc_auc,
        pivoted.roc_auc_low,
        pivoted.roc_auc_high,
        {%- for name in of_order %}
        case when pivoted.shows_scores then score_periods.{{ name }} end as {{ name }},
        {%- endfor %}
        pivoted.brier_score,
        pivoted.calibration_error,
        {%- for name in of_probability %}
        case when pivoted.shows_scores then score_periods.{{ name }} end as {{ name }},
        {%- endfor %}
        pivoted.precision,
        pivoted.recall,
        pivoted.f1,
        {{ safe_ratio(
            'pivoted.true_positive_count * pivoted.true_negative_count - pivoted.false_positive_count * pivoted.false_negative_count',
            'sqrt(pivoted.true_positive_count + pivoted.false_positive_count) * sqrt(pivoted.true_positive_count + pivoted.false_negative_count)'
            ~ ' * sqrt(pivoted.true_negative_count + pivoted.false_positive_count)'
            ~ ' * sqrt(pivoted.true_negative_count + pivoted.false_negative_count)'
        ) }} as mcc,
        {%- for name, parts in limits.items() %}
        {{ safe_ratio(*parts) }} as {{ name }},
        {%- endfor %}
        pivoted.false_positive_rate,
        1 - pivoted.recall as false_negative_rate,
        pivoted.mae,
        pivoted.rmse,
        pivoted.bias,
        pivoted.wape,
        case when pivoted.rmse is not null then number_periods.r2 end as r2,
        pivoted.ndcg_at_10,
        pivoted.mrr,
        pivoted.hit_rate_at_1,
        pivoted.accuracy,
        case when pivoted.accuracy is not null then class_periods.macro_f1 end as macro_f1,
        comparisons.compared_with,
        comparisons.common_days,
        case when pivoted.shows_scores then comparisons.roc_auc_difference end as roc_auc_difference,
        case when pivoted.shows_scores then comparisons.roc_auc_difference_low end as roc_auc_difference_low,
        case when pivoted.shows_scores then comparisons.roc_auc_difference_high end as roc_auc_difference_high,
        {%- for end in ['', '_low', '_high'] %}
        case when pivoted.mae is not null then comparisons.mae_difference{{ end }} end as mae_difference{{ end }},
        case when pivoted.accuracy is not null then comparisons.accuracy_difference{{ end }} end as accuracy_difference{{ end }},
        {%- endfor %}
        case
            when comparisons.reason is not null then comparisons.reason
            when comparisons.is_randomised then 'split_by_experiment'
            when comparisons.model_id is not null then 'not_randomised'
            when
                pivoted.model_version <> 'all'
                and pivoted.period in ('month', 'all')
                and (pivoted.has_scores = 1 or models.task in ('regression', 'multiclass'))
                then case when first_versions.model_id is null then 'no_common_days' else 'first_version' end
        end as comparison_note,
        case when pivoted.has_scores = 1 then pivoted.score_reason else pivoted.decision_reason end as reason,
        {{ metric_convention('models.task') }} as metric_convention,
        coalesce(score_periods.is_exact, false) as is_exact,
        coalesce(clusters.is_clustered, false) as is_clustered,
        pivoted.period_end_date
    from pivoted
    inner join models on pivoted.model_id = models.model_id
    {%- for name in ['label_periods', 'score_periods', 'class_periods', 'number_periods'] %}
    left join {{ name }}
        on pivoted.model_id = {{ name }}.model_id
        {%- for key in cell[1:] %}
        and pivoted.{{ key }} = {{ name }}.{{ key }}
        {%- endfor %}
    {%- endfor %}
    left join comparisons
        on pivoted.model_id = comparisons.model_id
        and pivoted.model_version = comparisons.model_version
        and pivoted.period = comparisons.period
        and pivoted.period_end_date = comparisons.period_end_date
    left join first_versions
        on pivoted.model_id = first_versions.model_id
        and pivoted.model_version = first_versions.model_version
    left join clusters on pivoted.model_id = clusters.model_id
    -- an absent segment would tell that it had no decisions
    where pivoted.segment_name <> 'all' or label_periods.matured_count + label_periods.pending_count + label_periods.unlabelled_count > 0

)

select * from quality
