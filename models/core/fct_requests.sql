-- One row per answer to what should be improved and theme that it names.
{%- set signs = '.,;:!?()[]/"-' %}
{%- set spaces = ' ' * (signs | length + 3) %}
{%- set signs_and_ends = "'" ~ signs ~ "' || chr(10) || chr(13) || chr(9)" %}
with answers as (

    select
        response_id,
        model_id,
        asked_at,
        ' ' || translate(lower(comment), {{ signs_and_ends }}, '{{ spaces }}') || ' ' as words
    from {{ ref('stg_feedback') }}
    where survey_type = 'improvement' and comment is not null

),

themes as (

    select
        theme,
        answered_by_release_id,
        owner,
        ' ' || translate(lower(word), {{ signs_and_ends }}, '{{ spaces }}') || ' ' as word
    from {{ ref('cfg_survey_themes') }}

),

releases as (

    select * from {{ ref('fct_releases') }}
    where event_type = 'deployed' and event_at <= {{ as_of() }}

),

named as (

    select
        answers.response_id,
        themes.theme,
        min(themes.owner) as owner,
        min(releases.event_at) as released_at
    from answers
    inner join themes on {{ dbt.position('themes.word', 'answers.words') }} > 0
    left join releases
        on themes.answered_by_release_id = releases.release_id
        and answers.model_id = releases.model_id
    group by answers.response_id, themes.theme

),

requests as (

    select
        answers.response_id,
        answers.model_id,
        coalesce(named.theme, '(none)') as theme,
        named.owner,
        coalesce(named.released_at > answers.asked_at, false) as is_answered,
        coalesce(named.released_at <= answers.asked_at, false) as is_asked_since,
        cast(answers.asked_at as date) as request_date,
        named.released_at
    from answers
    left join named on answers.response_id = named.response_id

)

select * from requests
