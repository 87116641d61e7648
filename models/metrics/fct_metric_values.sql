-- One row per metric read for a model, version, segment, segment value and period: the value that may be read, or why there is none.
{#- without segments nothing is counted, and one row keeps the query whole #}
{%- set sources = (counted_bricks() if execute else []) or [{'metric': '', 'counted_brick': ''}] %}
{%- set shown = "(reason is null or reason not in ('private', 'partial_window') or segment_name = 'all')" %}
with metric_periods as (

    select * from {{ ref('int_metric_periods') }}

),

customer_periods as (

    select * from {{ ref('int_customer_periods') }}

),

shape_values as (

    select * from {{ ref('int_shape_values') }}

),

hidden_cells as (

    select * from {{ ref('int_hidden_cells') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

counted_bricks as (

    {{ literal_rows(sources, ['metric', 'counted_brick']) }}

),

private_cells as (

    select distinct
        counted_bricks.metric,
        hidden_cells.model_id,
        hidden_cells.segment_name,
        hidden_cells.segment_value,
        hidden_cells.period,
        hidden_cells.period_end_date
    from hidden_cells
    inner join counted_bricks on hidden_cells.counted_brick = counted_bricks.counted_brick

),

-- customers are counted once per period, so their days do not add up
counted as (

    select
        metric_periods.metric,
        metric_periods.model_id,
        metric_periods.model_version,
        metric_periods.segment_name,
        metric_periods.segment_value,
        metric_periods.period,
        metric_periods.period_start_date,
        metric_periods.period_end_date,
        metric_periods.excluded_count,
        metric_periods.kept_count,
        metrics.shape,
        metrics.is_additive,
        metrics.is_proportion,
        metrics.balance_points,
        metrics.is_cross_fact,
        metrics.denominator_brick is not null as is_ratio,
        case
            when metrics.is_additive then metric_periods.numerator
            when metrics.shape = 'computed' then null
            when metrics.denominator_brick is null then coalesce(customer_periods.customer_count - customer_periods.left_count, 0)
            else coalesce(customer_periods.left_count, 0)
        end as numerator,
        case when metrics.shape is null or metrics.shape <> 'computed' then metric_periods.numerator_once end as numerator_once,
        case
            when metrics.denominator_brick is null then null
            when metrics.is_additive then metric_periods.denominator
            else coalesce(customer_periods.customer_count, 0)
        end as denominator,
        metric_periods.weight_squares,
        case
            when metrics.shape = 'customers' then coalesce(customer_periods.customer_count, 0)
            else coalesce(shape_values.unit_count, metric_periods.unit_count)
        end as unit_count,
        shape_values.value as shape_value,
        shape_values.value_low as shape_low,
        shape_values.value_high as shape_high,
        shape_values.reason as shape_reason
    from metric_periods
    inner join metrics on metric_periods.metric = metrics.metric
    left join customer_periods
        on metric_periods.model_id = customer_periods.model_id
        and metric_periods.model_version = customer_periods.model_version
        and metric_periods.segment_name = customer_periods.segment_name
        and metric_periods.segment_value = customer_periods.segment_value
        and metric_periods.period = customer_periods.period
        and metric_periods.period_end_date = customer_periods.period_end_date
        and metrics.shape = 'customers'
    left join shape_values
        on metric_periods.metric = shape_values.metric
        and metric_periods.model_id = shape_values.model_id
        and metric_periods.model_version = shape_values.model_version
        and metric_periods.segment_name = shape_values.segment_name
        and metric_periods.segment_value = shape_values.segment_value
        and metric_periods.period = shape_values.period
        and metric_periods.period_end_date = shape_values.period_end_date

),

reasoned as (

    select
        counted.*,
        greatest(
            {{ dbt.datediff('greatest(counted.period_start_date, model_metrics.known_from)', 'counted.period_end_date', 'day') }} + 1, 0 -- noqa: LT05
        ) as covered_days,
        case
            when private_cells.metric is not null then 'private'
            -- a ratio is sound over the days there are, unless one of its facts began later than the other; so is all that is known
            when
                counted.period_start_date < model_metrics.known_from
                and (
                    (counted.is_cross_fact and model_metrics.known_from > model_metrics.partly_known_from)
                    or (
                        counted.period <> 'all'
                        and (
                            counted.segment_name <> 'all'
                            or (not counted.is_ratio and coalesce(counted.shape, '') <> 'computed')
                        )
                    )
                )
                then 'partial_window'
            when counted.period_end_date > model_metrics.delivered_through then model_metrics.waits_for || '_not_delivered'
            when counted.period_end_date > model_metrics.matured_through then 'labels_not_matured'
            when counted.unit_count = 0 and counted.excluded_count = 0 then 'no_data'
            when counted.unit_count = 0 then 'nothing_to_judge'
            when counted.unit_count < {{ setting('minimum_cell') }} then 'too_few_units'
            else counted.shape_reason
        end as reason
    from counted
    inner join model_metrics
        on counted.metric = model_metrics.metric
        and counted.model_id = model_metrics.model_id
    left join private_cells
        on counted.metric = private_cells.metric
        and counted.model_id = private_cells.model_id
        and counted.segment_name = private_cells.segment_name
        and counted.segment_value = private_cells.segment_value
        and counted.period = private_cells.period
        and counted.period_end_date = private_cells.period_end_date

),

valued as (

    select
        *,
        case
            when reason is not null then null
            when shape = 'computed' then shape_value
            when is_ratio then {{ safe_ratio('numerator', 'denominator') }}
            else numerator
        end as value,
        -- Kish's number of units: what as many equal weights would tell
        case
            when weight_squares > 0 and is_additive and balance_points is null then denominator * denominator / weight_squares
            else cast(nullif(unit_count, 0) as {{ type_double() }})
        end as effective_units
    from reasoned

),

metric_values as (

    select
        metric,
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        period_start_date,
        period_end_date,
        value,
        case
            when value is null then null
            when shape = 'computed' then shape_low
            when is_proportion then {{ wilson_bound('value', 'effective_units', '-') }}
            when balance_points is not null then {{ balance_bound('-') }}
        end as value_low,
        case
            when value is null then null
            when shape = 'computed' then shape_high
            when is_proportion then {{ wilson_bound('value', 'effective_units', '+') }}
            when balance_points is not null then {{ balance_bound('+') }}
        end as value_high,
        cast(case when {{ shown }} then numerator end as {{ type_double() }}) as numerator,
        cast(case when {{ shown }} then numerator_once end as {{ type_double() }}) as numerator_once,
        cast(case when {{ shown }} then denominator end as {{ type_double() }}) as denominator,
        cast(case when {{ shown }} then excluded_count end as {{ type_double() }}) as excluded_count,
        cast(case when {{ shown }} then kept_count end as {{ type_double() }}) as kept_count,
        cast(case when {{ shown }} then unit_count end as bigint) as unit_count,
        case when is_proportion and value is not null then effective_units end as effective_units,
        cast(covered_days as bigint) as covered_days,
        case when reason is null and value is not null then 'ready' else 'not_ready' end as status,
        case when reason is null and value is null then 'nothing_to_judge' else reason end as reason,
        is_additive
    from valued

)

select * from metric_values
