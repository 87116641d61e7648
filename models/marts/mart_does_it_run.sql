-- One row per model and month: whether the service of the model answers, its data arrives sound and its deployments succeed.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('does_it_run') }}

select * from does_it_run
