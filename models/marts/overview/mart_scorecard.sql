-- One row per governed model, metric read for it, and segment with a target of its own: the last 28 known days against the 28 before.
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period = '28d' and model_version = 'all'

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

targets as (

    select * from {{ ref('dim_targets') }}
    where target_date = {{ as_of_date() }}

),

windows as (

    select
        *,
        case
            when known_through >= greatest(first_date, known_from) then known_through
            -- where no day is known yet, the last complete day says why
            else cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date)
        end as window_end_date
    from model_metrics

),

compared as (

    select
        current_values.*,
        windows.role,
        windows.owner,
        windows.direction,
        earlier_values.value as previous_value,
        {{ is_beyond_noise('current_values', 'earlier_values') }} as is_beyond_noise
    from windows
    inner join metric_values as current_values
        on windows.model_id = current_values.model_id
        and windows.metric = current_values.metric
        and windows.window_end_date = current_values.period_end_date
    left join metric_values as earlier_values
        on current_values.model_id = earlier_values.model_id
        and current_values.metric = earlier_values.metric
        and current_values.segment_name = earlier_values.segment_name
        and current_values.segment_value = earlier_values.segment_value
        and cast({{ dbt.dateadd('day', -28, 'current_values.period_end_date') }} as date) = earlier_values.period_end_date

),

judged as (

    select
        compared.*,
        targets.target,
        targets.floor,
        targets.weight,
        targets.baseline,
        targets.due,
        targets.valid_from,
        {{ expected_value('targets', 'compared.period_end_date') }} as expected_value
    from compared
    left join targets
        on compared.model_id = targets.model_id
        and compared.metric = targets.metric
        and compared.segment_name = targets.segment_name
        and compared.segment_value = targets.segment_value
    where compared.segment_name = 'all' or targets.names_segment

),

scorecard as (

    select
        judged.model_id,
        models.model_name,
        judged.metric,
        metrics.label,
        judged.segment_name,
        judged.segment_value,
        metrics.pillar,
        judged.role,
        judged.owner,
        metrics.unit,
        metrics.unit_of_count,
        judged.direction,
        {{ target_status('judged.value', 'judged.target', 'judged.floor', 'judged.expected_value', 'judged.direction') }} as status,
        {{ target_outlook('judged') }} as outlook,
        judged.reason as not_ready_reason,
        metrics.so_what as next_step,
        judged.value,
        judged.value_low,
        judged.value_high,
        judged.previous_value,
        judged.is_beyond_noise,
        judged.target,
        judged.floor,
        judged.expected_value,
        {{ projected_value('judged', 'metrics', 'judged.period_end_date') }} as projected_value,
        judged.weight,
        judged.excluded_count,
        judged.unit_count,
        judged.due,
        judged.period_start_date as window_start_date,
        judged.period_end_date as window_end_date
    from judged
    inner join metrics on judged.metric = metrics.metric
    inner join models on judged.model_id = models.model_id

)

select * from scorecard
