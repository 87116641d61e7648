-- One row per experiment, day and segment value: how units divide over variants, written by `throughline lift`.
-- depends_on: {{ ref('fct_moments') }}, {{ ref('cfg_experiments') }}
with written as (

    {{ no_rows() }}

)

select * from written
