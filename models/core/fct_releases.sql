-- One row per event in the life of a model version.
with events as (

    select * from {{ ref('stg_model_releases') }}

),

ordered as (

    select
        *,
        lag(event_type) over (
            partition by model_id, model_version
            order by event_at nulls last, release_id nulls last
        ) as previous_event_type,
        lag(event_at) over (
            partition by model_id, model_version
            order by event_at nulls last, release_id nulls last
        ) as previous_event_at
    from events

),

releases as (

    select
        release_id,
        model_id,
        model_version,
        event_type,
        previous_event_type,
        trigger,
        reason,
        expected_effect,
        feature_set_version,
        approver,
        case when event_type = 'deployed' then 1 else 0 end as deployed_count,
        case when event_type in ('deployed', 'deploy_failed') then 1 else 0 end as deployment_count,
        case when event_type = 'rolled_back' then 1 else 0 end as rolled_back_count,
        coalesce(is_automated, false) as is_automated,
        case
            when previous_event_type is null then true
            when previous_event_type = 'retired' then false
            when event_type = 'rolled_back' then previous_event_type = 'deployed'
            when event_type in ('concept', 'prototype', 'validation')
                then previous_event_type in ('concept', 'prototype', 'validation', 'rolled_back', 'deploy_failed')
            when event_type = 'approved'
                then previous_event_type in ('concept', 'prototype', 'validation', 'rolled_back', 'deploy_failed')
            when event_type = 'deploy_started' then previous_event_type not in ('deploy_started', 'deployed')
            else true
        end as is_legal_transition,
        cast(event_at as date) as event_date,
        event_at,
        planned_at,
        previous_event_at
    from ordered

)

select * from releases
