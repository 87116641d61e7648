-- One row per model and month: the pipeline behind the model: scores, opportunities, deals closed and customers kept.
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

{{ saved_query_ctes('does_it_sell') }}

select * from does_it_sell
