-- One row per expectation of a release: what changed against the version that ran before it.
with expectations as (

    select * from {{ ref('cfg_release_expectations') }}

),

events as (

    select * from {{ ref('fct_releases') }}

),

releases as (

    select * from {{ ref('int_releases') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

version_values as (

    select * from {{ ref('int_version_values') }}
    where period = 'all'

),

paired as (

    select
        expectations.release_id,
        expectations.metric,
        expectations.owner,
        expectations.change_low,
        expectations.change_high,
        releases.model_id,
        releases.model_version,
        releases.version_before,
        case when model_metrics.metric is null then metrics.direction else model_metrics.direction end as direction,
        case
            when releases.model_id is null then 'release_not_delivered'
            when releases.deployed_at is null then 'not_deployed'
            when releases.version_before is null then 'no_version_before'
            when model_metrics.metric is null then 'metric_not_read'
            when coalesce(model_metrics.direction, 'none') = 'none' then 'no_direction'
            when own.value is null then coalesce(own.reason, 'no_data')
            when other.value is null then coalesce(other.reason, 'no_data')
            else coalesce(own.reason, other.reason)
        end as reason,
        own.value,
        other.value as value_before,
        own.value - other.value as change,
        {%- for side, sign in [('low', '-'), ('high', '+')] %}
        {{ newcombe_bound('own.value', 'own.value_low', 'own.value_high', 'other.value', 'other.value_low', 'other.value_high', sign) }}
            as actual_{{ side }},
        {%- endfor %}
        own.period_end_date
    from expectations
    inner join metrics on expectations.metric = metrics.metric
    left join events on expectations.release_id = events.release_id
    left join releases
        on events.model_id = releases.model_id
        and events.model_version = releases.model_version
    left join model_metrics
        on releases.model_id = model_metrics.model_id
        and expectations.metric = model_metrics.metric
    left join version_values as own
        on releases.model_id = own.model_id
        and releases.model_version = own.model_version
        and expectations.metric = own.metric
    left join version_values as other
        on releases.model_id = other.model_id
        and releases.version_before = other.model_version
        and expectations.metric = other.metric

),

-- what is better than expected is no miss, but of a metric that is to be zero both ends count
judged as (

    select
        *,
        case
            when reason is not null or actual_low is null then 'open'
            when direction = 'up' and actual_low >= change_low then 'met'
            when direction = 'up' and actual_high < change_low then 'missed'
            when direction = 'down' and actual_high <= change_high then 'met'
            when direction = 'down' and actual_low > change_high then 'missed'
            when direction = 'zero' and actual_low >= change_low and actual_high <= change_high then 'met'
            when direction = 'zero' and (actual_low > change_high or actual_high < change_low) then 'missed'
            else 'undecided'
        end as outcome
    from paired

),

release_changes as (

    select
        release_id,
        metric,
        model_id,
        model_version,
        version_before,
        direction,
        owner,
        outcome,
        reason,
        change_low as expected_low,
        change_high as expected_high,
        value,
        value_before,
        case when reason is null then change end as actual,
        case when reason is null then actual_low end as actual_low,
        case when reason is null then actual_high end as actual_high,
        period_end_date as outcome_date
    from judged

)

select * from release_changes
