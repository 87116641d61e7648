-- One row per experiment, variant, metric, segment, method, totals and day: the lift and how sure it is, written by `throughline lift`.
-- depends_on: {{ ref('fct_moments') }}, {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
-- depends_on: {{ ref('dim_metrics') }}, {{ ref('dim_models') }}, {{ ref('dim_annotations') }}
with written as (

    {{ no_rows() }}

)

select * from written
