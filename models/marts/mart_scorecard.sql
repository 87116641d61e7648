-- One row per governed model and metric read for its task: the last 28 days against the 28 before and the target.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

targets as (

    select * from {{ ref('metric_targets') }}

),

pairs as (

    select
        models.model_id,
        models.model_name,
        metrics.metric,
        metrics.label,
        metrics.pillar,
        metrics.tier,
        metrics.owner,
        metrics.unit,
        metrics.direction,
        metrics.so_what,
        -- a metric of matured labels is read over days whose labels have all had time to arrive
        case
            when metrics.excluded_brick is null then cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date)
            else {{ last_matured_date('models') }}
        end as window_end_date
    from models
    inner join metrics on ', ' || metrics.tasks || ',' like '%, ' || models.task || ',%'

),

windows as (

    select
        *,
        cast({{ dbt.dateadd('day', -27, 'window_end_date') }} as date) as window_start_date,
        cast({{ dbt.dateadd('day', -55, 'window_end_date') }} as date) as previous_start_date
    from pairs

),

first_days as (

    select
        model_id,
        min(metric_date) as first_date
    from metric_days
    group by model_id

),

measurable as (

    {{ measurable_metrics() }}

),

window_days as (

    select
        windows.model_id,
        windows.metric,
        metric_days.numerator,
        metric_days.denominator,
        metric_days.unit_count,
        metric_days.excluded_count,
        case
            when metric_days.metric_date < windows.window_start_date then 'previous'
            when metric_days.metric_date <= windows.window_end_date then 'current'
            else 'maturing'
        end as period
    from windows
    inner join metric_days
        on windows.metric = metric_days.metric
        and windows.model_id = metric_days.model_id
        and windows.previous_start_date <= metric_days.metric_date
    inner join measurable
        on windows.metric = measurable.metric
        and windows.model_id = measurable.model_id
    where
        metric_days.segment_name = 'all'
        and metric_days.is_additive

),

window_totals as (

    select
        model_id,
        metric,
        max(case when denominator is null then 0 else 1 end) as has_denominator,
        sum(numerator) filter (where period = 'current') as numerator,
        sum(denominator) filter (where period = 'current') as denominator,
        sum(unit_count) filter (where period = 'current') as unit_count,
        sum(excluded_count) filter (where period = 'current') as excluded_count,
        sum(numerator) filter (where period = 'previous') as previous_numerator,
        sum(denominator) filter (where period = 'previous') as previous_denominator,
        sum(unit_count) filter (where period = 'previous') as previous_unit_count
    from window_days
    group by model_id, metric

),

measured as (

    select
        windows.*,
        coalesce(window_totals.unit_count, 0) as unit_count,
        coalesce(window_totals.excluded_count, 0) as excluded_count,
        case
            when first_days.first_date > windows.window_end_date then 'labels_not_matured'
            when coalesce(window_totals.unit_count, 0) = 0 and window_totals.excluded_count > 0 then 'nothing_to_judge'
            when coalesce(window_totals.unit_count, 0) = 0 then 'no_data'
            when window_totals.unit_count < {{ setting('minimum_cell') }} then 'too_few_units'
        end as not_ready_reason,
        case
            when coalesce(window_totals.unit_count, 0) < {{ setting('minimum_cell') }} then null
            when window_totals.has_denominator = 1
                then {{ safe_ratio('window_totals.numerator', 'window_totals.denominator') }}
            else window_totals.numerator
        end as value,
        case
            when coalesce(window_totals.previous_unit_count, 0) < {{ setting('minimum_cell') }} then null
            when window_totals.has_denominator = 1
                then {{ safe_ratio('window_totals.previous_numerator', 'window_totals.previous_denominator') }}
            else window_totals.previous_numerator
        end as previous_value
    from windows
    left join window_totals
        on windows.model_id = window_totals.model_id
        and windows.metric = window_totals.metric
    left join first_days on windows.model_id = first_days.model_id

),

candidate_targets as (

    select
        pairs.model_id,
        pairs.metric,
        targets.target,
        targets.floor,
        coalesce(targets.weight, 1) as weight,
        row_number() over (
            partition by pairs.model_id, pairs.metric
            order by
                case when targets.metric = '*' then 2 else 1 end,
                case when targets.model_id = '*' then 2 else 1 end,
                case when targets.segment_name = '*' then 2 else 1 end,
                case when targets.segment_value = '*' then 2 else 1 end
        ) as specificity_rank
    from pairs
    inner join targets
        on targets.metric in (pairs.metric, '*')
        and targets.model_id in (pairs.model_id, '*')
    where
        targets.segment_name in ('all', '*')
        and targets.segment_value in ('all', '*')
        and {{ valid_at('targets', as_of_date()) }}

),

targets_in_force as (

    select * from candidate_targets where specificity_rank = 1

),

scorecard as (

    select
        measured.model_id,
        measured.model_name,
        measured.metric,
        measured.label,
        measured.pillar,
        measured.tier,
        measured.owner,
        measured.unit,
        measured.direction,
        case
            when measured.not_ready_reason is not null then 'not_ready'
            when targets_in_force.target is null then 'no_target'
            when measured.direction = 'up' and measured.value >= targets_in_force.target then 'on_target'
            when measured.direction = 'down' and measured.value <= targets_in_force.target then 'on_target'
            when measured.direction = 'zero' and abs(measured.value) <= targets_in_force.target then 'on_target'
            when measured.direction = 'up' and measured.value < targets_in_force.floor then 'breached'
            when measured.direction = 'down' and measured.value > targets_in_force.floor then 'breached'
            when measured.direction = 'zero' and abs(measured.value) > targets_in_force.floor then 'breached'
            else 'off_target'
        end as status,
        measured.not_ready_reason,
        measured.so_what as next_step,
        measured.value,
        measured.previous_value,
        targets_in_force.target,
        targets_in_force.floor,
        targets_in_force.weight,
        measured.excluded_count,
        cast(measured.unit_count as bigint) as unit_count,
        measured.window_start_date,
        measured.window_end_date
    from measured
    left join targets_in_force
        on measured.model_id = targets_in_force.model_id
        and measured.metric = targets_in_force.metric

)

select * from scorecard
