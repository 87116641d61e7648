{% test no_parent_cycle(model) %}
{# Metrics that are a part of themselves over their parents, for one model on one day: a row per cycle. #}
with recursive targets as (

    select distinct
        metric,
        parent,
        model_id,
        valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from {{ model }}
    where parent is not null

),

chains as (

    select
        metric,
        parent as last_parent,
        model_id,
        valid_from,
        valid_to,
        metric || ' > ' || parent as chain
    from targets
    where metric <= parent

    union all

    select
        chains.metric,
        targets.parent as last_parent,
        case when chains.model_id = '*' then targets.model_id else chains.model_id end as model_id,
        greatest(chains.valid_from, targets.valid_from) as valid_from,
        least(chains.valid_to, targets.valid_to) as valid_to,
        chains.chain || ' > ' || targets.parent as chain
    from chains
    inner join targets
        on chains.last_parent = targets.metric
        and (chains.model_id = targets.model_id or chains.model_id = '*' or targets.model_id = '*')
        and chains.valid_from < targets.valid_to
        and targets.valid_from < chains.valid_to
    where
        chains.last_parent <> chains.metric
        -- a cycle is told once, from the first of its metrics; no metric is passed twice
        and chains.metric <= targets.parent
        and (targets.parent = chains.metric or ' > ' || chains.chain || ' > ' not like '% > ' || targets.parent || ' > %')

)

select distinct
    model_id,
    'the parents of ' || metric || ' lead back to it' || case when model_id = '*' then '' else ' for model ' || model_id end
    || ': ' || chain as what,
    'Empty one parent of the chain.' as fix
from chains
where last_parent = metric
{% endtest %}
