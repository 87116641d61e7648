-- One row per event in the life of a model version.
with events as (

    select
        *,
        -- what is planned for a later day says nothing of what came before it
        case when event_at <= {{ as_of() }} then event_type end as known_type
    from {{ ref('stg_model_releases') }}

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
        ) as previous_event_at,
        lead(known_type) over (
            partition by model_id, model_version
            order by event_at nulls last, release_id nulls last
        ) as next_event_type,
        row_number() over (
            partition by model_id, model_version, event_type
            order by event_at nulls last, release_id nulls last
        ) as place_of_type,
        min(case when event_type = 'concept' then event_at end) over (partition by model_id, model_version) as concept_at,
        min(case when known_type = 'deployed' then event_at end) over (partition by model_id, model_version) as deployed_at,
        max(case when known_type in ('rolled_back', 'retired') then 1 else 0 end) over (partition by model_id, model_version) as ended_count
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
        case
            when event_type = 'deploy_failed' or (event_type = 'deployed' and next_event_type = 'rolled_back') then 1
            else 0
        end as failed_change_count,
        case when event_type = 'deployed' and is_automated then 1 else 0 end as automated_count,
        case when event_type = 'deployed' and planned_at is not null then 1 else 0 end as planned_count,
        case when event_type = 'deployed' and cast(event_at as date) <= cast(planned_at as date) then 1 else 0 end as on_time_count,
        case when event_type = 'deployed' and place_of_type = 1 and concept_at <= event_at then 1 else 0 end as lead_timed_count,
        case
            when event_type = 'deployed' and place_of_type = 1 and concept_at <= event_at
                then {{ dbt.datediff('cast(concept_at as date)', 'cast(event_at as date)', 'day') }}
            else 0
        end as lead_days,
        case
            when event_type = 'concept' and place_of_type = 1 and (deployed_at is not null or ended_count = 1) then 1
            else 0
        end as settled_concept_count,
        case when event_type = 'concept' and place_of_type = 1 and deployed_at is not null then 1 else 0 end as proven_concept_count,
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
