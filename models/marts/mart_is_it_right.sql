-- One row per model and month: how often the model is right, and how far off where it predicts a number.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('is_it_right') }}

select * from is_it_right
