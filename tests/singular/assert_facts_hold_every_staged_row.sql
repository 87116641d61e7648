-- Rows are facts whose rows do not reconcile with what was staged.
with decisions as (

    select * from {{ ref('fct_decisions') }}

),

predictions as (

    select * from {{ ref('stg_prediction_logs') }}
    where coalesce(environment, 'prod') = 'prod'

),

outcome_credits as (

    select * from {{ ref('fct_outcomes') }}

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}

),

user_days as (

    select * from {{ ref('fct_usage') }}

),

usage_events as (

    select * from {{ ref('stg_usage_events') }}

),

counts as (

    select
        'fct_decisions' as fact,
        (select count(*) from decisions) as fact_count,
        (select count(*) from predictions) as staged_count
    union all
    select
        'fct_outcomes' as fact,
        (select count(*) from outcome_credits where is_primary_credit) as fact_count,
        (select count(*) from outcomes) as staged_count
    union all
    select
        'fct_usage' as fact,
        (select sum(event_count) from user_days) as fact_count,
        (select nullif(count(*), 0) from usage_events) as staged_count

)

select * from counts
where fact_count is distinct from staged_count
