-- One row per governed model and pillar: how its metrics stand, the weighted share of targets met, and its part of success.
{%- set parts = ['impact', 'experience', 'efficiency', 'risk'] %}
{%- set statuses = ['on_target', 'on_the_way', 'behind', 'off_target', 'breached', 'no_target', 'not_ready'] %}
with scorecard as (

    select * from {{ ref('mart_scorecard') }}
    where segment_name = 'all'

),

evidence as (

    select * from {{ ref('int_model_evidence') }}

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

met as (

    select
        totals.*,
        {{ safe_ratio('totals.met_weight', 'totals.judged_weight') }} as met_share,
        totals.pillar in ('{{ parts | join("', '") }}') as is_part,
        evidence.model_id is null and totals.pillar = 'impact' as lacks_evidence
    from totals
    left join evidence on totals.model_id = evidence.model_id

),

succeeded as (

    select
        *,
        case when is_part and not lacks_evidence then met_share end as success_part
    from met

),

pillars as (

    select
        model_id,
        model_name,
        pillar,
        case
            when not is_part or success_part is not null then null
            when lacks_evidence then 'no_evidence_of_uplift'
            else 'no_target_judged'
        end as success_reason,
        met_share,
        success_part,
        success_part / {{ parts | length }} as success_contribution,
        case
            when count(success_part) over (partition by model_id) = {{ parts | length }}
                then sum(success_part) over (partition by model_id) / {{ parts | length }}
        end as composite_success,
        cast(count(success_part) over (partition by model_id) as bigint) as known_part_count,
        {%- for status in statuses %}
        cast({{ status }}_count as bigint) as {{ status }}_count,
        {%- endfor %}
        cast(metric_count as bigint) as metric_count
    from succeeded

)

select * from pillars
