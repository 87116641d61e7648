-- One row per experiment and variant, released version and postmortem: what was expected, what was decided and what came of it.
with experiments as (

    select * from {{ ref('experiments') }}

),

decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}

),

releases as (

    select * from {{ ref('fct_releases') }}

),

annotations as (

    select * from {{ ref('dim_annotations') }}
    where annotation_date = cast(effective_from as date)

),

postmortems as (

    select
        scope,
        annotation_id,
        title,
        link,
        author,
        annotation_date as postmortem_date,
        row_number() over (partition by scope order by effective_from desc, annotation_id asc) as place
    from annotations
    where kind = 'postmortem'

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

versions as (

    select
        model_id,
        model_version,
        max(case when event_type = 'deployed' then event_at end) as deployed_at,
        max(case when event_type = 'rolled_back' then event_at end) as rolled_back_at,
        max(event_at) as last_event_at
    from releases
    group by model_id, model_version

),

released as (

    select
        'release' as lesson_kind,
        versions.model_id || ' ' || versions.model_version as subject_id,
        'all' as variant,
        versions.model_id,
        max(releases.approver) as owner,
        max(case when releases.event_at = versions.deployed_at then releases.expected_effect end) as hypothesis,
        case when versions.rolled_back_at >= versions.deployed_at then 'roll_back' else 'keep' end as decision,
        case when versions.rolled_back_at >= versions.deployed_at then 'harm' else 'unknown' end as result,
        max(case when releases.event_at = versions.rolled_back_at then releases.reason end) as reason,
        cast(null as {{ dbt.type_string() }}) as metric,
        case
            when versions.rolled_back_at >= versions.deployed_at
                then coalesce(max(case when releases.event_at = versions.rolled_back_at then releases.reason end), 'It was rolled back.')
            else 'What it brought stands in mart_releases.'
        end as lesson,
        cast(null as {{ type_double() }}) as expected_effect,
        cast(null as {{ type_double() }}) as effect_low,
        cast(null as {{ type_double() }}) as effect_high,
        cast(coalesce(versions.rolled_back_at, versions.deployed_at) as date) as learned_date
    from versions
    inner join releases
        on versions.model_id = releases.model_id
        and versions.model_version = releases.model_version
    where versions.deployed_at is not null
    group by versions.model_id, versions.model_version, versions.deployed_at, versions.rolled_back_at

),

subjects as (

    select * from tried
    union all
    select * from released

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
    left join {{ ref('dim_models') }} as models on postmortems.scope = models.model_id
    left join subjects on postmortems.scope = subjects.subject_id
    where subjects.subject_id is null

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
        on learned.subject_id = postmortems.scope
        and postmortems.place = 1
    left join postmortems as own on learned.subject_id = own.annotation_id

)

select * from learning_log
