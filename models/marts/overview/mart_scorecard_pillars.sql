-- One row per governed model and pillar: how its metrics of the scorecard stand, and the weighted share of targets met.
{%- set statuses = ['on_target', 'on_the_way', 'behind', 'off_target', 'breached', 'no_target', 'not_ready'] %}
with scorecard as (

    select * from {{ ref('mart_scorecard') }}
    where segment_name = 'all'

),

totals as (

    select
        model_id,
        model_name,
        pillar,
        sum(case when status = 'on_target' then weight else 0 end) as met_weight,
        sum(case when status not in ('no_target', 'not_ready') then weight else 0 end) as judged_weight,
        {%- for status in statuses %}
        sum(case when status = '{{ status }}' then 1 else 0 end) as {{ status }}_count,
        {%- endfor %}
        count(*) as metric_count
    from scorecard
    group by model_id, model_name, pillar

),

pillars as (

    select
        model_id,
        model_name,
        pillar,
        {{ safe_ratio('met_weight', 'judged_weight') }} as met_share,
        {%- for status in statuses %}
        cast({{ status }}_count as bigint) as {{ status }}_count,
        {%- endfor %}
        cast(metric_count as bigint) as metric_count
    from totals

)

select * from pillars
