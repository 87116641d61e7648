-- One row per model and month: what the model costs for each decision, accepted decision and day of use.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('what_does_it_cost') }}

select * from what_does_it_cost
