-- One row per relation that sums decisions by day and date that it recomputes in this build.
with touched_decisions as (

    select * from {{ ref('int_touched_decisions') }}

),

dates as (

    select distinct touched_date from touched_decisions
    where touched_date is not null

),

touched_dates as (

    {% for name in [
        'fct_lists', 'fct_class_counts', 'fct_group_cells', 'fct_latency_bins', 'int_latency_days', 'fct_chain_days', 'fct_policy_days'
    ] -%}
    select '{{ name }}' as relation_name, touched_date from dates
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from touched_dates
