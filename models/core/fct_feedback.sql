-- One row per question asked of a user about a model, answered or not.
with questions as (

    select * from {{ ref('stg_feedback') }}

),

decisions as (

    select * from {{ ref('stg_prediction_logs') }}

),

scaled as (

    select
        *,
        -- who is asked what to improve answers in words
        score is not null or (survey_type = 'improvement' and comment is not null) as is_answered,
        {{ safe_ratio('score - scale_min', 'scale_max - scale_min') }} as scale_share
    from questions

),

feedback as (

    select
        scaled.response_id,
        scaled.model_id,
        decisions.model_version,
        scaled.prediction_id,
        scaled.user_id,
        {%- for column in setting('segments') %}
        decisions.{{ column }},
        {%- endfor %}
        scaled.survey_type,
        scaled.score,
        scaled.scale_min,
        scaled.scale_max,
        scaled.scale_share,
        1 as asked_count,
        case when scaled.is_answered then 1 else 0 end as answered_count,
        case when scaled.is_answered and scaled.scale_share is not null then 1 else 0 end as scaled_count,
        case when scaled.is_answered and scaled.scale_share >= 0.75 then 1 else 0 end as top_box_count,
        case when scaled.survey_type = 'nps' and scaled.score >= 9 then 1 else 0 end as promoter_count,
        case when scaled.survey_type = 'nps' and scaled.score > 6 and scaled.score < 9 then 1 else 0 end as passive_count,
        case when scaled.survey_type = 'nps' and scaled.score <= 6 then 1 else 0 end as detractor_count,
        scaled.is_answered,
        cast(scaled.asked_at as date) as asked_date,
        scaled.asked_at,
        scaled.responded_at
    from scaled
    left join decisions on scaled.prediction_id = decisions.prediction_id

)

select * from feedback
