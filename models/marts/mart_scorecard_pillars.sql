-- One row per governed model and pillar: how its metrics of the scorecard stand, and the weighted share of targets met.
{%- set statuses = ['on_target', 'off_target', 'breached', 'no_target', 'not_ready'] %}
with scorecard as (

    select * from {{ ref('mart_scorecard') }}

),

pillars as (

    select
        model_id,
        model_name,
        pillar,
        {{ safe_ratio(
            "coalesce(sum(weight) filter (where status = 'on_target'), 0)",
            "sum(weight) filter (where status in ('on_target', 'off_target', 'breached'))"
        ) }} as met_share,
        count(*) as metric_count,
        {%- for status in statuses %}
        cast(sum(case when status = '{{ status }}' then 1 else 0 end) as bigint) as {{ status }}_count{{ ',' if not loop.last }}
        {%- endfor %}
    from scorecard
    group by model_id, model_name, pillar

)

select * from pillars
