-- One row per relation, model and pair of metrics: whether the one leads the other, stands for it, or is bought with it.
with pairs as (

    select * from {{ ref('int_metric_pairs') }}

),

movements as (

    select * from {{ ref('int_metric_changes') }}
    where period = '28d'

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

occasions as (

    select * from {{ ref('int_occasion_changes') }}

),

agreements as (

    select
        pairs.model_id,
        pairs.metric,
        {%- for occasion in ['week', 'release', 'experiment'] %}
        count(case when occasions.occasion = '{{ occasion }}' then 1 end) as {{ occasion }}_count,
        count(
            case when occasions.occasion = '{{ occasion }}' and occasions.change * others.change * pairs.better_sign > 0 then 1 end
        ) as agreeing_{{ occasion }}_count,
        {%- endfor %}
        pairs.other_metric
    from pairs
    inner join occasions
        on pairs.model_id = occasions.model_id
        and pairs.metric = occasions.metric
    inner join occasions as others
        on pairs.model_id = others.model_id
        and pairs.other_metric = others.metric
        and occasions.occasion = others.occasion
        and occasions.occasion_id = others.occasion_id
    where
        pairs.relation = 'proxy_for'
        and pairs.better_sign is not null
        and occasions.change <> 0
        and others.change <> 0
    group by pairs.model_id, pairs.metric, pairs.other_metric

),

compared as (

    select
        pairs.*,
        agreements.week_count as moved_week_count,
        agreements.agreeing_week_count,
        agreements.release_count,
        agreements.agreeing_release_count,
        agreements.experiment_count,
        agreements.agreeing_experiment_count,
        coalesce(pairs.correlation * pairs.better_sign, pairs.correlation) > 0 as goes_together,
        movements.value - movements.previous_value as change,
        other_movements.value - other_movements.previous_value as other_change,
        movements.is_beyond_noise and other_movements.is_beyond_noise as have_both_moved
    from pairs
    left join agreements
        on pairs.relation = 'proxy_for'
        and pairs.model_id = agreements.model_id
        and pairs.metric = agreements.metric
        and pairs.other_metric = agreements.other_metric
    left join movements
        on pairs.model_id = movements.model_id
        and pairs.metric = movements.metric
    left join movements as other_movements
        on pairs.model_id = other_movements.model_id
        and pairs.other_metric = other_movements.metric

),

judged as (

    select
        *,
        case
            when relation = 'leads_to' and reason is not null then 'unknown'
            when relation = 'leads_to' and is_beyond_noise and goes_together then 'leads'
            when relation = 'leads_to' and is_beyond_noise then 'leads_against'
            when relation = 'leads_to' then 'does_not_lead'
            when relation = 'proxy_for' and experiment_count > agreeing_experiment_count then 'disagrees'
            when relation = 'proxy_for' and is_beyond_noise and not goes_together then 'disagrees'
            when relation = 'proxy_for' and (is_beyond_noise or experiment_count > 0) then 'agrees'
            when relation = 'proxy_for' and reason is not null then 'unknown'
            when relation = 'proxy_for' then 'unclear'
            when have_both_moved and change * other_change * better_sign < 0 then 'trade_off'
            when is_beyond_noise and not goes_together then 'trade_off'
            when reason is not null and have_both_moved is null then 'unknown'
            else 'none'
        end as verdict
    from compared

),

metric_pairs as (

    select
        judged.relation,
        judged.model_id,
        judged.metric,
        metrics.label,
        judged.other_metric,
        other_metrics.label as other_label,
        judged.verdict,
        judged.reason,
        model_metrics.owner,
        metrics.so_what as next_step,
        judged.lag_weeks,
        judged.correlation,
        judged.correlation_low,
        judged.correlation_high,
        judged.p_value,
        judged.effective_weeks,
        judged.change,
        judged.other_change,
        judged.week_count,
        {%- for occasion in ['week', 'release', 'experiment'] %}
        {%- set name = 'moved_week_count' if occasion == 'week' else occasion ~ '_count' %}
        cast(case when judged.relation = 'proxy_for' then coalesce(judged.{{ name }}, 0) end as bigint) as {{ name }},
        cast(case when judged.relation = 'proxy_for' then coalesce(judged.agreeing_{{ occasion }}_count, 0) end as bigint)
            as agreeing_{{ occasion }}_count,
        {%- endfor %}
        judged.shares_bricks
    from judged
    inner join metrics on judged.metric = metrics.metric
    inner join metrics as other_metrics on judged.other_metric = other_metrics.metric
    inner join model_metrics
        on judged.model_id = model_metrics.model_id
        and judged.metric = model_metrics.metric

)

select * from metric_pairs
