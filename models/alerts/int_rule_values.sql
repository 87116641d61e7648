-- One row per alert rule, model, segment, segment value and day: what the rule reads, and whether its condition holds beyond noise.
{%- set conditions = alert_conditions() %}
{%- set faults = "('" ~ counts_of_faults() | join("', '") ~ "')" %}
{%- set last_day = 'cast(' ~ dbt.dateadd('day', -1, as_of_date()) ~ ' as date)' %}
{%- set noisy = ['value', 'value_low', 'value_high'] %}
with rules as (

    select
        rule_id,
        metric,
        model_id,
        trim(condition) as condition,
        consecutive_days,
        cooldown_days,
        coalesce(period, '7d') as period
    from {{ ref('cfg_alert_rules') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where model_version = 'all'

),

metric_days as (

    select * from {{ ref('fct_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

targets as (

    select * from {{ ref('dim_targets') }}

),

fault_counts as (

    select * from {{ ref('int_fault_counts') }}

),

reference_ends as (

    select
        model_id,
        max(reference_date) as reference_end_date
    from {{ ref('int_reference_days') }}
    group by model_id

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

-- segments have no days and weeks
seen as (

    select
        rules.rule_id,
        model_metrics.model_id,
        rules.metric,
        'all' as segment_name,
        'all' as segment_value,
        rules.period
    from rules
    inner join model_metrics
        on rules.metric = model_metrics.metric
        and rules.model_id in (model_metrics.model_id, '*')
    union all
    select distinct
        rules.rule_id,
        targets.model_id,
        rules.metric,
        targets.segment_name,
        targets.segment_value,
        '28d' as period
    from rules
    inner join targets
        on rules.metric = targets.metric
        and rules.model_id in (targets.model_id, '*')
    where
        targets.names_segment
        and targets.segment_name <> 'all'
        and rules.condition in (
            ''
            {%- for condition in conditions if condition.reads_bound %},
            {{ text_literal(condition.text) }}
            {%- endfor %}
        )

),

watched as (

    select
        *,
        rule_id || ':' || model_id
        || case when segment_name = 'all' then '' else ':' || segment_name || '=' || segment_value end as alert_key
    from seen

),

series as (

    select distinct
        watched.metric,
        watched.model_id,
        watched.segment_name,
        watched.segment_value,
        greatest(model_metrics.first_date, model_metrics.known_from) as first_date,
        metrics.denominator_brick is not null as is_ratio
    from watched
    inner join metrics on watched.metric = metrics.metric
    inner join model_metrics
        on watched.metric = model_metrics.metric
        and watched.model_id = model_metrics.model_id
    where metrics.is_additive and not metrics.is_proportion and metrics.balance_points is null

),

-- the days of a sum count alike, those of a ratio by their denominator
dense as (

    select
        series.metric,
        series.model_id,
        series.segment_name,
        series.segment_value,
        dates.date_day,
        coalesce(sum(metric_days.numerator), 0) as numerator,
        case when series.is_ratio then coalesce(sum(metric_days.denominator), 0) else 1 end as denominator
    from series
    inner join dates on series.first_date <= dates.date_day
    left join metric_days
        on series.metric = metric_days.metric
        and series.model_id = metric_days.model_id
        and series.segment_name = metric_days.segment_name
        and series.segment_value = metric_days.segment_value
        and dates.date_day = metric_days.metric_date
    group by series.metric, series.model_id, series.segment_name, series.segment_value, series.is_ratio, dates.date_day

),

-- about the mean of all days, which keeps the squares small
centred as (

    select
        *,
        coalesce({{ safe_ratio(
            'sum(numerator) over (partition by metric, model_id, segment_name, segment_value)',
            'sum(denominator) over (partition by metric, model_id, segment_name, segment_value)'
        ) }}, 0) as overall
    from dense

),

followed as (

    select
        *,
        lag(numerator - overall * denominator) over (
            partition by metric, model_id, segment_name, segment_value order by date_day nulls last
        ) as earlier_distance,
        lag(denominator) over (
            partition by metric, model_id, segment_name, segment_value order by date_day nulls last
        ) as earlier_denominator
    from centred

),

-- a day without anything tells no step
steps as (

    select
        metric,
        model_id,
        segment_name,
        segment_value,
        overall,
        date_day,
        case when denominator <> 0 and earlier_denominator <> 0 then numerator - overall * denominator - earlier_distance end
            as distance_step,
        case when denominator <> 0 and earlier_denominator <> 0 then denominator - earlier_denominator end as denominator_step
    from followed

),

-- steps from day to day tell the noise of a day also where the level has moved
spreads as (

    select
        metric,
        model_id,
        segment_name,
        segment_value,
        overall,
        date_day,
        {{ over_last_days('sum(distance_step * distance_step)') }} as distance_squares,
        {{ over_last_days('sum(distance_step * denominator_step)') }} as products,
        {{ over_last_days('sum(denominator_step * denominator_step)') }} as denominator_squares,
        {{ over_last_days('count(distance_step)') }} as step_count
    from steps

),

bounded as (

    select
        watched.alert_key,
        metric_values.period,
        metric_values.period_end_date,
        metrics.is_additive and metrics.denominator_brick is null as is_sum,
        metric_values.reason,
        metric_values.value,
        {{ value_bound('metric_values', 'metrics', 'spreads', '-') }} as value_low,
        {{ value_bound('metric_values', 'metrics', 'spreads', '+') }} as value_high
    from metric_values
    inner join watched
        on metric_values.metric = watched.metric
        and metric_values.model_id = watched.model_id
        and metric_values.segment_name = watched.segment_name
        and metric_values.segment_value = watched.segment_value
        and metric_values.period in (watched.period, '28d')
    inner join metrics on metric_values.metric = metrics.metric
    left join spreads
        on metric_values.metric = spreads.metric
        and metric_values.model_id = spreads.model_id
        and metric_values.segment_name = spreads.segment_name
        and metric_values.segment_value = spreads.segment_value
        and metric_values.period_end_date = spreads.date_day

),

governed as (

    select
        watched.*,
        cast(null as {{ dbt.type_string() }}) as fault,
        present.reason,
        {%- for name in noisy %}
        present.{{ name }},
        earlier.{{ name }} as previous_{{ name }},
        reference.{{ name }}
        * case when reference.is_sum then {{ days_of_period('watched.period') }} / 28.0 else 1 end
            as reference_{{ name }},
        {%- endfor %}
        targets.target,
        targets.floor,
        targets.baseline,
        cast({{ dbt.datediff('model_metrics.matured_through', last_day, 'day') }} as bigint) as known_after_days, -- noqa: LT05
        present.period_end_date as value_date
    from watched
    inner join model_metrics
        on watched.metric = model_metrics.metric
        and watched.model_id = model_metrics.model_id
    inner join bounded as present
        on watched.alert_key = present.alert_key
        and watched.period = present.period
    left join bounded as earlier
        on present.alert_key = earlier.alert_key
        and present.period = earlier.period
        and cast({{ dbt.dateadd(
            'day',
            '-(' ~ days_of_period('present.period') ~ ')',
            'present.period_end_date'
        ) }} as date) = earlier.period_end_date
    left join reference_ends on watched.model_id = reference_ends.model_id
    left join bounded as reference
        on present.alert_key = reference.alert_key
        and reference.period = '28d'
        and reference_ends.reference_end_date = reference.period_end_date
    left join targets
        on watched.metric = targets.metric
        and watched.model_id = targets.model_id
        and watched.segment_name = targets.segment_name
        and watched.segment_value = targets.segment_value
        and present.period_end_date = targets.target_date

),

-- a rule for one model counts what concerns all of them besides; a rule for each has that once
found as (

    select
        rules.rule_id,
        case when rules.model_id = '*' then fault_counts.model_id else rules.model_id end as model_id,
        rules.metric,
        fault_counts.fault,
        fault_counts.reason,
        fault_counts.fault_count,
        fault_counts.known_after_days,
        fault_counts.fault_date
    from rules
    inner join fault_counts
        on rules.metric = fault_counts.metric
        and (rules.model_id = '*' or fault_counts.model_id in (rules.model_id, '(all)'))

),

weighed as (

    select
        *,
        row_number() over (
            partition by rule_id, model_id, fault_date order by fault_count desc nulls last, fault asc nulls last
        ) as place
    from found

),

-- faults add up, days by which tables are late do not
counted as (

    select
        rule_id,
        model_id,
        metric,
        max(case when place = 1 then fault end) as fault,
        case when count(fault_count) = 0 then max(reason) end as reason,
        case when metric = 'freshness' then max(fault_count) else sum(fault_count) end as value,
        max(known_after_days) as known_after_days,
        fault_date as value_date
    from weighed
    group by rule_id, model_id, metric, fault_date

),

tested as (

    select
        governed.*,
        rules.condition,
        rules.consecutive_days,
        rules.cooldown_days
    from governed
    inner join rules on governed.rule_id = rules.rule_id
    union all
    select
        counted.rule_id,
        counted.model_id,
        counted.metric,
        'all' as segment_name,
        'all' as segment_value,
        'day' as period,
        counted.rule_id || ':' || counted.model_id as alert_key,
        counted.fault,
        counted.reason,
        {%- for name in noisy %}
        counted.value as {{ name }},
        earlier.value as previous_{{ name }},
        cast(null as {{ type_double() }}) as reference_{{ name }},
        {%- endfor %}
        cast(null as {{ type_double() }}) as target,
        cast(null as {{ type_double() }}) as floor,
        cast(null as {{ type_double() }}) as baseline,
        counted.known_after_days,
        counted.value_date,
        rules.condition,
        rules.consecutive_days,
        rules.cooldown_days
    from counted
    inner join rules on counted.rule_id = rules.rule_id
    left join counted as earlier
        on counted.rule_id = earlier.rule_id
        and counted.model_id = earlier.model_id
        and cast({{ dbt.dateadd('day', -7, 'counted.value_date') }} as date) = earlier.value_date

),

judged as (

    select
        *,
        {{ by_condition(conditions, 'measured') }} as measured,
        {{ by_condition(conditions, 'bound') }} as bound,
        {{ by_condition(conditions, 'margin') }} as margin,
        {{ by_condition(conditions, 'is_known') }} as is_known,
        condition in (
            ''
            {%- for condition in conditions if condition.is_strict %},
            {{ text_literal(condition.text) }}
            {%- endfor %}
        ) as is_strict
    from tested

),

rule_values as (

    select
        alert_key,
        rule_id,
        model_id,
        metric,
        segment_name,
        segment_value,
        period,
        fault,
        case
            when reason is not null then reason
            when value_low is null or value_high is null then 'no_interval'
            when not coalesce(is_known, false) or measured is null or bound is null or margin is null then 'nothing_to_compare'
        end as reason,
        consecutive_days,
        cooldown_days,
        known_after_days,
        value,
        value_low,
        value_high,
        measured,
        bound,
        case
            when value is null or not coalesce(is_known, false) or measured is null or bound is null or margin is null then null
            when is_strict then margin > 0
            else margin >= 0
        end as is_holding,
        value_date
    from judged

)

select * from rule_values
