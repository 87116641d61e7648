-- One row per experiment, variant and day: the decision and what it rests on, written by `throughline lift`.
-- depends_on: {{ ref('fct_lift_estimates') }}, {{ ref('int_experiment_stakes') }}
-- depends_on: {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
with written as (

    {{ no_rows() }}

)

select * from written
