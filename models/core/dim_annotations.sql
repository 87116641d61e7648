-- One row per annotation and day it falls on.
with annotations as (

    select * from {{ ref('stg_kpi_annotations') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

annotation_days as (

    select
        annotations.annotation_id,
        annotations.scope,
        annotations.kind,
        annotations.title,
        annotations.author,
        annotations.link,
        annotations.excludes_from_causal,
        dates.date_day as annotation_date,
        annotations.effective_from,
        annotations.effective_to
    from annotations
    inner join dates
        on cast(annotations.effective_from as date) <= dates.date_day
        and (
            cast(annotations.effective_from as date) = dates.date_day
            or annotations.effective_to > cast(dates.date_day as timestamp)
        )

)

select * from annotation_days
