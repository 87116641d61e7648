-- One row per model and month: what followed the decisions of the model, in outcomes and in money.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('what_is_it_worth') }}

select * from what_is_it_worth
