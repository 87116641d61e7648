-- One row per annotation and day it falls on.
with annotations as (

    select * from {{ ref('stg_kpi_annotations') }}

),

bounds as (

    select
        min(cast(effective_from as date)) as first_day,
        greatest({{ as_of_date() }}, max(cast(effective_from as date))) as last_day
    from annotations

),

{{ day_ctes('bounds') }},

annotation_days as (

    select
        annotations.annotation_id,
        annotations.scope,
        lower(annotations.kind) as kind,
        annotations.title,
        annotations.author,
        annotations.link,
        annotations.excludes_from_causal,
        days.date_day as annotation_date,
        annotations.effective_from,
        annotations.effective_to
    from annotations
    inner join days
        on cast(annotations.effective_from as date) <= days.date_day
        and (
            cast(annotations.effective_from as date) = days.date_day
            or (annotations.effective_to > cast(days.date_day as timestamp) and days.date_day <= {{ as_of_date() }})
        )

)

select * from annotation_days
