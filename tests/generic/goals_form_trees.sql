{% test goals_form_trees(model) %}
{# Goals that do not form a tree: a row per fault. #}
{#- A step per level instead of a recursion, which Spark knows from 4.1 on. -#}
{%- set levels = 8 %}
{%- set ranks = "case {}.level when 'individual' then 1 when 'team' then 2 when 'company' then 3 end" %}
{%- set additive = (metrics() if execute else []) | rejectattr('card.shape', 'defined') | map(attribute='name') | list %}
{%- set text = dbt.type_string() %}
with stated as (

    select
        *,
        metric || ' ' || model_id || ' ' || segment_name || ' ' || segment_value || ' ' || cast(valid_from as {{ text }}) as stated_key,
        coalesce(valid_to, cast('9999-12-31' as date)) as ends
    from {{ model }}

),

goals as (

    select * from stated
    where goal_id is not null

),

steps_1 as (

    select
        stated_key,
        goal_id,
        parent_goal_id as above,
        valid_from,
        ends,
        goal_id || ' > ' || parent_goal_id as chain
    from goals
    where parent_goal_id is not null

),

{%- for level in range(2, levels + 1) %}

steps_{{ level }} as (

    select
        steps.stated_key,
        steps.goal_id,
        goals.parent_goal_id as above,
        greatest(steps.valid_from, goals.valid_from) as valid_from,
        least(steps.ends, goals.ends) as ends,
        steps.chain || ' > ' || goals.parent_goal_id as chain
    from steps_{{ level - 1 }} as steps
    inner join goals
        on steps.above = goals.goal_id
        and steps.above <> steps.goal_id
        and steps.valid_from < goals.ends
        and goals.valid_from < steps.ends
    where goals.parent_goal_id is not null

),
{%- endfor %}

circles as (

    {%- for level in range(1, levels + 1) %}
    select stated_key, goal_id, chain from steps_{{ level }}
    where goal_id = above
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}

),

-- a cycle is told once, from the first of its goals
cycles as (

    select * from circles
    where not exists (
        select 1 from circles as others
        where others.goal_id < circles.goal_id and ' > ' || circles.chain || ' > ' like '% > ' || others.goal_id || ' > %'
    )

),

pairs as (

    select
        children.*,
        parents.model_id as parent_model_id,
        parents.segment_name as parent_segment_name,
        parents.level as parent_level,
        {{ ranks.format('children') }} > {{ ranks.format('parents') }} as is_upside_down,
        children.metric = parents.metric
        and parents.segment_name = 'all'
        and (parents.model_id = '(all)' or parents.model_id = children.model_id) as is_part
    from goals as children
    inner join goals as parents
        on children.parent_goal_id = parents.goal_id
        and children.valid_from < parents.ends
        and parents.valid_from < children.ends

),

faults as (

    select
        stated_key,
        'the parents of goal ' || goal_id || ' lead back to it: ' || chain as what,
        'Empty parent_goal_id of one of them.' as fix
    from cycles
    union all
    select
        stated_key,
        'the parents of goal ' || goal_id || ' lead over more than {{ levels }} levels: ' || chain as what,
        'Join two levels.' as fix
    from steps_{{ levels }}
    where not exists (
        select 1 from circles
        where ' > ' || steps_{{ levels }}.chain || ' > ' like '% > ' || circles.goal_id || ' > %'
    )
    union all
    select
        stated_key,
        'goal ' || goal_id || ' serves ' || parent_goal_id || ', which no row states while it holds' as what,
        'Correct parent_goal_id, or state that goal.' as fix
    from goals
    where
        parent_goal_id is not null
        and not exists (
            select 1 from goals as parents
            where parents.goal_id = goals.parent_goal_id and parents.valid_from < goals.ends and goals.valid_from < parents.ends
        )
    union all
    select
        later.stated_key,
        'goal ' || earlier.goal_id || ' is stated by two rows that do not follow each other' as what,
        'Give each goal its own goal_id; a later row of a goal has the same metric, model and segment and begins where the one before ends.' as fix
    from goals as earlier
    inner join goals as later
        on earlier.goal_id = later.goal_id
        and (
            earlier.metric < later.metric
            or earlier.model_id < later.model_id
            or earlier.segment_name < later.segment_name
            or earlier.segment_value < later.segment_value
            or (earlier.valid_from < later.valid_from and later.valid_from < earlier.ends)
        )
    union all
    select
        stated_key,
        'goal ' || goal_id || ' names no single number: `*` matches several' as what,
        'Name the model and the segment; `(all)` is all models together.' as fix
    from goals
    where '*' in (metric, model_id, segment_name, segment_value)
    union all
    select
        stated_key,
        'goal ' || goal_id || ' has no level' as what,
        'Write individual, team or company.' as fix
    from goals
    where level is null
    union all
    select
        stated_key,
        case
            when level is not null or parent_goal_id is not null then 'a target of ' || metric || ' has a place among the goals and no goal_id'
            else 'a target of ' || metric || ' is of all models together and is no goal'
        end as what,
        case
            when level is not null or parent_goal_id is not null then 'Fill goal_id in, or empty level and parent_goal_id.'
            else 'Fill goal_id in, or write * for each model.'
        end as fix
    from stated
    where goal_id is null and (level is not null or parent_goal_id is not null or model_id = '(all)')
    union all
    select
        stated_key,
        'goal ' || goal_id || ' is of all models together, for which ' || metric || ' of ' || segment_name || ' has no value' as what,
        'Name a metric whose sums add up, of segment all; or name a model.' as fix
    from goals
    where model_id = '(all)' and (segment_name <> 'all' or metric not in ('{{ additive | join("', '") }}'))
    union all
    select
        stated_key,
        'goal ' || goal_id || ' of level ' || level || ' serves one of level ' || parent_level as what,
        'Let goals of individuals serve teams, and those of teams the company.' as fix
    from pairs
    where is_upside_down
    union all
    select
        others.stated_key,
        'goals ' || parts.goal_id || ' and ' || others.goal_id || ' are overlapping parts of ' || parts.parent_goal_id as what,
        'Divide a goal by one segment, or by models, alone.' as fix
    from pairs as parts
    inner join pairs as others
        on parts.parent_goal_id = others.parent_goal_id
        and parts.goal_id < others.goal_id
        and parts.valid_from < others.ends
        and others.valid_from < parts.ends
        and parts.is_part
        and others.is_part
        and (parts.segment_name <> others.segment_name or (parts.model_id = others.model_id and parts.segment_value = others.segment_value))
    union all
    select
        stated_key,
        'goal ' || goal_id || ' has the weight ' || cast(weight as {{ text }}) as what,
        'Write a weight above zero, or none for 1.' as fix
    from goals
    where weight <= 0

),

-- a row that breaks a rule with several others is told once
told as (

    select
        stated_key,
        min(what) as what,
        fix
    from faults
    group by stated_key, fix

)

select
    stated.*,
    told.what,
    told.fix
from told
inner join stated on told.stated_key = stated.stated_key
{% endtest %}
