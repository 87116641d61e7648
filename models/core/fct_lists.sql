-- One row per model, version, ranked list and day: how well it put first what was wanted.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set list_keys = 'model_id, model_version, list_id, decision_date' %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where list_id is not null and rank_position is not null and {{ touched('decision_date') }}

),

models as (

    select * from {{ ref('dim_models') }}
    where task = 'ranking'

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}

),

links as (

    select * from {{ ref('int_outcome_links') }}

),

-- an outcome of several items of a list does not say which of them was wanted
shared_outcomes as (

    select
        decisions.model_id,
        decisions.model_version,
        decisions.list_id,
        decisions.decision_date,
        links.outcome_id
    from decisions
    inner join links
        on decisions.prediction_id = links.prediction_id
        and decisions.model_id = links.model_id
    inner join models on decisions.model_id = models.model_id
    inner join outcomes
        on links.outcome_id = outcomes.outcome_id
        and models.label_outcome = outcomes.outcome_name
    group by decisions.model_id, decisions.model_version, decisions.list_id, decisions.decision_date, links.outcome_id
    having count(*) > 1

),

unclear_lists as (

    select distinct {{ list_keys }}
    from shared_outcomes

),

-- the label tells what was wanted; where none can come, accepting does
items as (

    select
        decisions.*,
        case
            when decisions.label_state = 'matured' then decisions.actual_positive_count > 0
            else decisions.accepted_count > 0
        end as is_relevant,
        -- where two items claim one place, the second stands below
        greatest(decisions.rank_position, row_number() over (
            partition by decisions.model_id, decisions.model_version, decisions.list_id, decisions.decision_date
            order by decisions.rank_position nulls last, decisions.prediction_id nulls last
        )) as place
    from decisions
    inner join models on decisions.model_id = models.model_id

),

ordered as (

    select
        *,
        sum(case when is_relevant then 1 else 0 end) over (
            partition by {{ list_keys }}
            order by place nulls last, prediction_id nulls last
            rows between unbounded preceding and current row
        ) as relevant_so_far
    from items

),

lists as (

    select
        model_id,
        model_version,
        list_id,
        decision_date,
        {%- for column in ['entity_id', 'user_id'] + setting('segments') %}
        -- what its items do not share is not of the list
        case when min({{ column }}) = max({{ column }}) and count({{ column }}) = count(*) then min({{ column }}) end as {{ column }},
        {%- endfor %}
        count(*) as item_count,
        sum(case when is_relevant then 1 else 0 end) as relevant_count,
        max(rank_position) as last_position,
        max(sampling_weight) as list_weight,
        max(case when label_state = 'pending' then 1 else 0 end) as has_pending_items,
        max(case when label_state = 'matured' then 1 else 0 end) as has_labels,
        max(case when label_state = 'unlabelled' then 1 else 0 end) as has_unlabelled_items,
        min(case when is_relevant then place end) as first_relevant_place,
        -- the n-th wanted item of the best order stands at place n
        sum(case when is_relevant and place <= 10 then 1 / ln(place + 1) else 0 end) as gain,
        sum(case when is_relevant and relevant_so_far <= 10 then 1 / ln(relevant_so_far + 1) else 0 end) as best_gain,
        max(matures_at) as matures_at
    from ordered
    group by {{ list_keys }}

),

told as (

    select
        lists.*,
        case
            when unclear_lists.list_id is not null then 'labels_not_per_item'
            when lists.list_weight <> 1 and lists.item_count < lists.last_position then 'items_sampled'
            when lists.has_pending_items = 1 then 'labels_not_matured'
        end as reason
    from lists
    left join unclear_lists
        on lists.model_id = unclear_lists.model_id
        and lists.model_version = unclear_lists.model_version
        and lists.list_id = unclear_lists.list_id
        and lists.decision_date = unclear_lists.decision_date

),

ranked_lists as (

    select
        list_id,
        model_id,
        model_version,
        entity_id,
        user_id,
        {%- for column in setting('segments') %}
        {{ column }},
        {%- endfor %}
        case
            when has_labels = 1 and has_unlabelled_items = 1 then 'both'
            when has_unlabelled_items = 1 then 'accepted'
            when has_labels = 1 then 'label'
        end as relevance_source,
        reason,
        item_count,
        relevant_count,
        cast(list_weight as {{ type_double() }}) as list_count,
        case when reason is null then list_weight else 0 end as judged_list_count,
        case when reason is null then 0 else list_weight end as unjudged_list_count,
        case when reason is null and relevant_count > 0 then list_weight else 0 end as relevant_list_count,
        case when reason is null and relevant_count > 0 then list_weight * gain / best_gain end as gain_sum,
        case when reason is null then coalesce(list_weight / first_relevant_place, 0) end as reciprocal_rank_sum,
        case when reason is null and first_relevant_place = 1 then list_weight else 0 end as hit_count,
        decision_date as list_date,
        matures_at
    from told

)

select * from ranked_lists
