-- One row per model and month: what users answer when they are asked about the model, and how many answer.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('do_people_like_it') }}

select * from do_people_like_it
