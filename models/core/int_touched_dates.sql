-- One row per relation of the waist and date that it recomputes in this build.
with touched_keys as (

    select * from {{ ref('int_touched_keys') }}

),

touched_decisions as (

    select * from {{ ref('int_touched_decisions') }}

),

usage_dates as (

    select * from {{ ref('int_touched_usage_dates') }}
    where relation_name = 'fct_usage'

),

metric_dates as (

    select touched_date from touched_decisions
    union
    select touched_date from touched_keys where relation_name = 'fct_outcomes'
    union
    select touched_date from usage_dates

),

touched_dates as (

    select 'fct_bricks' as relation_name, touched_date from metric_dates where touched_date is not null
    union all
    select 'fct_metrics' as relation_name, touched_date from metric_dates where touched_date is not null

)

select * from touched_dates
