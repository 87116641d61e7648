{% test no_parent_cycle(model) %}
{# Metrics that are a part of themselves over their parents, for one model on one day: a row per cycle. #}
{#- A step per level instead of a recursion, which Spark knows from 4.1 on. A chain that is longer is told as such. -#}
{%- set levels = 8 %}
with targets as (

    select distinct
        metric,
        parent,
        model_id,
        valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from {{ model }}
    where parent is not null

),

chains_1 as (

    select
        metric,
        parent as last_parent,
        model_id,
        valid_from,
        valid_to,
        metric || ' > ' || parent as chain
    from targets
    where metric <= parent

),

{%- for level in range(2, levels + 1) %}

chains_{{ level }} as (

    select
        chains.metric,
        coalesce(targets.parent, chains.last_parent) as last_parent,
        case when chains.model_id = '*' then coalesce(targets.model_id, '*') else chains.model_id end as model_id,
        greatest(chains.valid_from, targets.valid_from) as valid_from,
        least(chains.valid_to, targets.valid_to) as valid_to,
        chains.chain || coalesce(' > ' || targets.parent, '') as chain
    from chains_{{ level - 1 }} as chains
    left join targets
        on chains.last_parent = targets.metric
        and chains.last_parent <> chains.metric
        and (chains.model_id = targets.model_id or chains.model_id = '*' or targets.model_id = '*')
        and chains.valid_from < targets.valid_to
        and targets.valid_from < chains.valid_to
        -- a cycle is told once, from the first of its metrics; no metric is passed twice
        and chains.metric <= targets.parent
        and (targets.parent = chains.metric or ' > ' || chains.chain || ' > ' not like '% > ' || targets.parent || ' > %')
    where chains.last_parent = chains.metric or targets.metric is not null

),
{%- endfor %}

told as (

    select distinct
        model_id,
        chain,
        metric,
        last_parent = metric as is_cycle
    from chains_{{ levels }}

)

select
    model_id,
    case
        when is_cycle then 'the parents of ' || metric || ' lead back to it'
        else 'the parents of ' || metric || ' lead over more than {{ levels }} levels'
    end || case when model_id = '*' then '' else ' for model ' || model_id end || ': ' || chain as what,
    'Empty one parent of the chain.' as fix
from told
{% endtest %}
