-- One row per release, stage and metric of its exit criteria: whether the version clears the bound.
{%- set key = ['model_id', 'model_version', 'stage', 'metric'] %}
with releases as (

    select * from {{ ref('int_releases') }}

),

criteria as (

    select * from {{ ref('cfg_release_criteria') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

version_values as (

    select * from {{ ref('int_version_values') }}

),

-- a criterion of the model goes before one of all models, which is of those that read its metric
gates as (

    select
        releases.model_id,
        releases.model_version,
        releases.release_id,
        releases.gate_stage,
        criteria.stage,
        criteria.metric,
        criteria.bound,
        coalesce(criteria.minimum_units, 0) as minimum_units,
        coalesce(criteria.period, 'all') as period,
        criteria.owner,
        criteria.rationale,
        case when model_metrics.metric is null then metrics.direction else model_metrics.direction end as direction,
        model_metrics.metric is not null as is_read,
        row_number() over (
            partition by releases.model_id, releases.model_version, criteria.stage, criteria.metric
            order by case when criteria.model_id = '*' then 1 else 0 end nulls last
        ) as place
    from releases
    inner join criteria on criteria.model_id in (releases.model_id, '*')
    inner join metrics on criteria.metric = metrics.metric
    left join model_metrics
        on releases.model_id = model_metrics.model_id
        and criteria.metric = model_metrics.metric
    where criteria.model_id <> '*' or model_metrics.metric is not null

),

measured as (

    select
        gates.*,
        version_values.period as value_period,
        version_values.reason as value_reason,
        version_values.value,
        version_values.value_low,
        version_values.value_high,
        version_values.unit_count,
        version_values.period_end_date,
        {{ gate_clearance('gates.direction', 'version_values.value_low', 'version_values.value_high', 'gates.bound') }} as clearance,
        {{ gate_reach('gates.direction', 'version_values.value_least', 'version_values.value_most', 'gates.bound') }} as reach
    from gates
    left join version_values
        on gates.model_id = version_values.model_id
        and gates.model_version = version_values.model_version
        and gates.metric = version_values.metric
    where gates.place = 1

),

reasoned as (

    select
        *,
        coalesce(
            value_reason,
            case
                when not is_read then 'metric_not_read'
                when coalesce(direction, 'none') = 'none' then 'no_direction'
                when value is null then 'no_data'
                when unit_count < minimum_units then 'too_few_units'
            end
        ) as not_ready_reason
    from measured

),

judged as (

    select
        *,
        case
            when not_ready_reason is not null then 'not_ready'
            when reach < 0 then 'rollback_recommended'
            when clearance >= 0 then 'open'
            else 'closed'
        end as gate_status
    from reasoned

),

-- the windows of 28 days are kept for each of their days, so they say since when
ranked as (

    select
        *,
        min(case when value_period = '28d' and gate_status = 'open' then period_end_date end)
            over (partition by {{ key | join(', ') }}) as opened_date,
        min(case when value_period = '28d' and gate_status = 'rollback_recommended' then period_end_date end)
            over (partition by {{ key | join(', ') }}) as flagged_date,
        row_number() over (
            partition by {{ key | join(', ') }}
            order by
                case when value_period = period then 0 else 1 end nulls last,
                case when not_ready_reason is null then 0 else 1 end nulls last,
                period_end_date desc nulls last
        ) as value_place
    from judged

),

release_gates as (

    select
        release_id,
        model_id,
        model_version,
        stage,
        metric,
        gate_status,
        not_ready_reason,
        direction,
        period,
        owner,
        rationale,
        bound,
        value,
        value_low,
        value_high,
        {{ safe_ratio('clearance', 'value_high - value_low') }} as clearance_share,
        cast(unit_count as bigint) as unit_count,
        cast(minimum_units as bigint) as minimum_units,
        stage = gate_stage as is_gate_of_stage,
        period_end_date,
        opened_date,
        flagged_date
    from ranked
    where value_place = 1

)

select * from release_gates
