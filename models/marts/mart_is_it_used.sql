-- One row per model and month: how many of those who could use the model do, and what they do with its decisions.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('is_it_used') }}

select * from is_it_used
