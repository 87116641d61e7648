-- One row per model and version with an event of its release: when it reached each stage, and what ran before it.
{%- set stages = ['concept', 'prototype', 'validation', 'approved', 'deploy_started', 'deployed'] %}
{%- set written_once = ['expected_effect', 'feature_set_version'] %}
with events as (

    select
        *,
        row_number() over (
            partition by model_id, model_version
            order by event_at desc nulls last, release_id desc nulls last
        ) as place_from_last,
        -- what says most of a release: that it was deployed, else its newest event
        row_number() over (
            partition by model_id, model_version
            order by case when event_type = 'deployed' then 0 else 1 end nulls last, event_at desc nulls last, release_id desc nulls last
        ) as place
    from {{ ref('fct_releases') }}
    where event_at <= {{ as_of() }}

),

-- what is written once, such as at the concept, holds for the version
placed as (

    select
        {%- for name in written_once %}
        min(case when {{ name }} is not null then place end) over (partition by model_id, model_version) as {{ name }}_place,
        {%- endfor %}
        *
    from events

),

versions as (

    select
        model_id,
        model_version,
        max(case when place = 1 then release_id end) as release_id,
        max(case when place_from_last = 1 then event_type end) as stage,
        max(case when place = 1 then trigger end) as trigger,
        max(case when place = 1 then reason end) as reason,
        {%- for name in written_once %}
        max(case when place = {{ name }}_place then {{ name }} end) as {{ name }},
        {%- endfor %}
        coalesce(max(case when event_type = 'approved' then approver end), max(case when place = 1 then approver end)) as approver,
        sum(case when event_type = 'deploy_failed' then 1 else 0 end) as failed_deployment_count,
        max(case when place = 1 and is_automated then 1 else 0 end) = 1 as is_automated,
        {%- for stage in stages %}
        min(case when event_type = '{{ stage }}' then event_at end) as {{ stage }}_at,
        {%- endfor %}
        max(case when event_type = 'deployed' then event_at end) as last_deployed_at,
        min(case when event_type in ('deploy_started', 'deployed', 'deploy_failed') then planned_at end) as planned_at,
        max(case when event_type = 'rolled_back' then event_at end) as rolled_back_at,
        max(case when event_type = 'retired' then event_at end) as retired_at
    from placed
    group by model_id, model_version

),

ended as (

    select
        *,
        case
            when coalesce(least(rolled_back_at, retired_at), rolled_back_at, retired_at) >= last_deployed_at or last_deployed_at is null
                then coalesce(least(rolled_back_at, retired_at), rolled_back_at, retired_at)
            when coalesce(greatest(rolled_back_at, retired_at), rolled_back_at, retired_at) >= last_deployed_at
                then coalesce(greatest(rolled_back_at, retired_at), rolled_back_at, retired_at)
        end as ended_at
    from versions

),

-- what ran when a version came: the newest of those deployed before it that had not ended by then
earlier as (

    select
        one.model_id,
        one.model_version,
        other.model_version as version_before,
        row_number() over (
            partition by one.model_id, one.model_version
            order by other.deployed_at desc nulls last, other.model_version desc nulls last
        ) as place
    from ended as one
    inner join ended as other
        on one.model_id = other.model_id
        and other.deployed_at < one.deployed_at
        and coalesce(other.ended_at > one.deployed_at, true)

),

-- one that was rolled back gave its place back
replaced as (

    select
        one.model_id,
        one.model_version,
        min(other.deployed_at) as replaced_at
    from ended as one
    inner join ended as other
        on one.model_id = other.model_id
        and one.deployed_at < other.deployed_at
        and other.rolled_back_at is null
    group by one.model_id, one.model_version

),

releases as (

    select
        ended.release_id,
        ended.model_id,
        ended.model_version,
        earlier.version_before,
        ended.stage,
        -- whose exit criteria count now
        case
            when ended.deployed_at is not null then 'deployed'
            when ended.stage in ('deploy_started', 'deploy_failed') then 'approved'
            when ended.stage in ('concept', 'prototype', 'validation', 'approved') then ended.stage
            when ended.approved_at is not null then 'approved'
            when ended.validation_at is not null then 'validation'
            when ended.prototype_at is not null then 'prototype'
            else 'concept'
        end as gate_stage,
        ended.trigger,
        ended.reason,
        ended.expected_effect,
        ended.feature_set_version,
        ended.approver,
        ended.failed_deployment_count,
        ended.is_automated,
        {%- for stage in stages %}
        ended.{{ stage }}_at,
        {%- endfor %}
        ended.planned_at,
        ended.rolled_back_at,
        ended.retired_at,
        ended.ended_at,
        replaced.replaced_at
    from ended
    left join earlier
        on ended.model_id = earlier.model_id
        and ended.model_version = earlier.model_version
        and earlier.place = 1
    left join replaced
        on ended.model_id = replaced.model_id
        and ended.model_version = replaced.model_version

)

select * from releases
