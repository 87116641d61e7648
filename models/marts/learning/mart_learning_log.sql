-- One row per experiment and variant, released version, closed alert and postmortem: what was expected, decided and learned.
with experiments as (

    select * from {{ ref('cfg_experiments') }}

),

decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

releases as (

    select * from {{ ref('mart_releases') }}

),

rollbacks as (

    select
        model_id,
        model_version,
        reason,
        row_number() over (partition by model_id, model_version order by event_at desc, release_id asc) as place
    from {{ ref('fct_releases') }}
    where event_type = 'rolled_back' and event_at <= {{ as_of() }}

),

alerts as (

    select
        *,
        alert_key || ' ' || cast(opened_date as {{ dbt.type_string() }}) as subject_id
    from {{ ref('fct_alert_history') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

annotations as (

    select * from {{ ref('dim_annotations') }}
    where annotation_date = cast(effective_from as date) and effective_from <= {{ as_of() }}

),

-- the key of an alert means the last that had opened
remarks as (

    select
        annotations.*,
        alerts.model_id,
        coalesce(alerts.subject_id, annotations.scope) as subject_id,
        row_number() over (partition by annotations.annotation_id order by alerts.opened_date desc nulls last) as alert_place
    from annotations
    left join alerts
        on annotations.scope = alerts.alert_key
        and alerts.opened_date <= annotations.annotation_date
    where annotations.kind = 'postmortem'

),

postmortems as (

    select
        subject_id,
        annotation_id,
        coalesce(model_id, scope) as model_id,
        title,
        link,
        author,
        annotation_date as postmortem_date,
        row_number() over (partition by subject_id order by effective_from desc, annotation_id asc) as place
    from remarks
    where alert_place = 1

),

tried as (

    select
        'experiment' as lesson_kind,
        decisions.experiment_id as subject_id,
        decisions.variant,
        experiments.model_id,
        experiments.owner,
        experiments.hypothesis,
        decisions.decision,
        coalesce(decisions.primary_state, 'unknown') as result,
        decisions.reason,
        decisions.primary_metric as metric,
        case decisions.primary_state
            when 'win' then 'It holds: the effect is at least the smallest that was worth it.'
            when 'small' then 'It works, by less than was worth it.'
            when 'flat' then 'It makes no difference worth having.'
            when 'harm' then 'It does harm.'
            when 'open' then 'It is not known yet, or the experiment was too small to tell.'
            else 'Nothing was learned: ' || coalesce(decisions.reason, 'no interval') || '.'
        end as lesson,
        decisions.minimum_effect as expected_effect,
        decisions.decision_low as effect_low,
        decisions.decision_high as effect_high,
        decisions.as_of as learned_date
    from decisions
    inner join experiments on decisions.experiment_id = experiments.experiment_id
    where decisions.as_of = decisions.latest_as_of

),

released as (

    select
        'release' as lesson_kind,
        releases.model_id || ' ' || releases.model_version as subject_id,
        'all' as variant,
        releases.model_id,
        releases.approver as owner,
        releases.expected_effect as hypothesis,
        case when releases.stage = 'rolled_back' then 'roll_back' else 'keep' end as decision,
        case
            when releases.stage = 'rolled_back' then 'harm'
            when releases.expectation_outcome in ('met', 'missed') then releases.expectation_outcome
            else 'unknown'
        end as result,
        case when releases.stage = 'rolled_back' then rollbacks.reason end as reason,
        releases.expected_metric as metric,
        case
            when releases.stage = 'rolled_back' then coalesce(rollbacks.reason, 'It was rolled back.')
            when releases.expectation_outcome = 'met' then 'What was expected came.'
            when releases.expectation_outcome = 'missed' then 'What was expected did not come.'
            when coalesce(releases.expectation_count, 0) = 0 then 'Nobody wrote down a number that was expected.'
            else 'It is not known yet what it brought.'
        end as lesson,
        releases.expected_low as expected_effect,
        releases.actual_change_low as effect_low,
        releases.actual_change_high as effect_high,
        cast(case when releases.stage = 'rolled_back' then releases.rolled_back_at else releases.deployed_at end as date) as learned_date
    from releases
    left join rollbacks
        on releases.model_id = rollbacks.model_id
        and releases.model_version = rollbacks.model_version
        and rollbacks.place = 1
    where releases.deployed_at is not null

),

closed as (

    select
        'alert' as lesson_kind,
        subject_id,
        'all' as variant,
        model_id,
        acted_by as owner,
        cast(null as {{ dbt.type_string() }}) as hypothesis,
        last_action as decision,
        'unknown' as result,
        closed_by as reason,
        metric,
        case
            when note is not null then note
            when closed_by = 'person' then 'Somebody closed it without a note.'
            else 'It ended before anybody noted why.'
        end as lesson,
        cast(null as {{ type_double() }}) as expected_effect,
        cast(null as {{ type_double() }}) as effect_low,
        cast(null as {{ type_double() }}) as effect_high,
        closed_date as learned_date
    from alerts
    where status = 'closed'

),

subjects as (

    select * from tried
    union all
    select * from released
    union all
    select * from closed

),

others as (

    select
        'postmortem' as lesson_kind,
        postmortems.annotation_id as subject_id,
        'all' as variant,
        coalesce(models.model_id, '(all)') as model_id,
        postmortems.author as owner,
        cast(null as {{ dbt.type_string() }}) as hypothesis,
        cast(null as {{ dbt.type_string() }}) as decision,
        'unknown' as result,
        cast(null as {{ dbt.type_string() }}) as reason,
        cast(null as {{ dbt.type_string() }}) as metric,
        postmortems.title as lesson,
        cast(null as {{ type_double() }}) as expected_effect,
        cast(null as {{ type_double() }}) as effect_low,
        cast(null as {{ type_double() }}) as effect_high,
        postmortems.postmortem_date as learned_date
    from postmortems
    left join models on postmortems.model_id = models.model_id
    where not exists (select 1 from subjects where subjects.subject_id = postmortems.subject_id)

),

learned as (

    select * from subjects
    union all
    select * from others

),

learning_log as (

    select
        learned.lesson_kind,
        learned.subject_id,
        learned.variant,
        learned.model_id,
        learned.owner,
        learned.hypothesis,
        learned.decision,
        learned.result,
        learned.reason,
        learned.metric,
        learned.lesson,
        coalesce(postmortems.title, own.title) as postmortem,
        coalesce(postmortems.link, own.link) as postmortem_link,
        learned.expected_effect,
        learned.effect_low,
        learned.effect_high,
        learned.learned_date
    from learned
    left join postmortems
        on learned.subject_id = postmortems.subject_id
        and postmortems.place = 1
    left join postmortems as own on learned.subject_id = own.annotation_id

)

select * from learning_log
