-- One row per model, judged period and threshold: what it would select, and what that would be worth.
with curves as (

    select * from {{ ref('int_threshold_curves') }}

),

shown as (

    select * from {{ ref('fct_metric_values') }}
    where
        metric = 'roc_auc'
        and model_version = 'all'
        and segment_name = 'all'
        and (status = 'ready' or reason in ('one_class', 'equal_scores'))

),

threshold_curve as (

    select
        curves.model_id,
        curves.period,
        cast(curves.threshold_number as bigint) as threshold_number,
        curves.threshold,
        curves.threshold_in_force,
        curves.best_threshold,
        curves.judged_count,
        curves.true_positive_count,
        curves.false_positive_count,
        curves.false_negative_count,
        curves.true_negative_count,
        curves.changed_count,
        {{ safe_ratio('curves.true_positive_count', 'curves.true_positive_count + curves.false_positive_count') }} as precision,
        {{ safe_ratio('curves.true_positive_count', 'curves.true_positive_count + curves.false_negative_count') }} as recall,
        curves.selected_share,
        curves.value_amount,
        curves.value_amount - curves.value_band as value_low_amount,
        curves.value_amount + curves.value_band as value_high_amount,
        curves.value_in_force_amount,
        curves.actual_value_amount,
        curves.money_left_amount,
        curves.money_left_amount - curves.money_left_band as money_left_low_amount,
        curves.money_left_amount + curves.money_left_band as money_left_high_amount,
        curves.money_left_amount * 365.25 / 12
        / ({{ dbt.datediff('curves.period_start_date', 'curves.period_end_date', 'day') }} + 1) as money_left_monthly_amount, -- noqa: LT05
        curves.reason,
        curves.value_reason,
        curves.money_left_reason,
        curves.is_threshold_in_force,
        curves.is_best,
        curves.is_reweighted,
        curves.selects_all,
        curves.selects_none,
        curves.period_start_date,
        curves.period_end_date
    from curves
    inner join shown
        on curves.model_id = shown.model_id
        and curves.period = shown.period
        and curves.period_end_date = shown.period_end_date

)

select * from threshold_curve
