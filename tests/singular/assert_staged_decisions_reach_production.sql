-- One row where predictions were staged but none of them is in environment prod: nothing would be counted.
with predictions as (

    select * from {{ ref('stg_prediction_logs') }}

),

decisions as (

    select * from {{ ref('fct_decisions') }}

),

counts as (

    select
        (select count(*) from predictions) as staged_count,
        (select count(*) from decisions) as decision_count

)

select * from counts
where staged_count > 0 and decision_count = 0
