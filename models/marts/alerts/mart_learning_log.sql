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

    select * from {{ ref('mart_releases') }}

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

released as (

    select
        'release' as lesson_kind,
        model_id || ' ' || model_version as subject_id,
        'all' as variant,
        model_id,
        approver as owner,
        expected_effect as hypothesis,
        case when stage = 'rolled_back' then 'roll_back' else 'keep' end as decision,
        case
            when stage = 'rolled_back' then 'harm'
            when expectation_outcome in ('met', 'missed') then expectation_outcome
            else 'unknown'
        end as result,
        reason,
        expected_metric as metric,
        case
            when stage = 'rolled_back' then coalesce(reason, 'It was rolled back.')
            when expectation_outcome = 'met' then 'What was expected came.'
            when expectation_outcome = 'missed' then 'What was expected did not come.'
            when coalesce(expectation_count, 0) = 0 then 'Nobody wrote down a number that was expected.'
            else 'It is not known yet what it brought.'
        end as lesson,
        expected_low as expected_effect,
        actual_change_low as effect_low,
        actual_change_high as effect_high,
        cast(case when stage = 'rolled_back' then rolled_back_at else deployed_at end as date) as learned_date
    from releases
    where deployed_at is not null

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
