{% test follows_direction(model, models, exceptions) %}
{# Targets that contradict the direction that their metric has for the model: worse than their own floor or baseline. #}
{%- set directions = metric_directions() %}
with directions as (

    {{ literal_rows(directions, ['metric', 'direction', 'follows_label']) if directions else "select '' as metric, '' as direction, false as follows_label" }}

),

directed as (

    select
        targets.*,
        coalesce(
            exceptions.direction,
            case
                when not directions.follows_label or coalesce(registry.label_is, 'gain') = 'gain' then directions.direction
                when registry.label_is = 'neutral' then 'none'
                when directions.direction = 'up' then 'down'
                else 'up'
            end
        ) as direction
    from {{ model }} as targets
    inner join directions on targets.metric = directions.metric
    left join {{ models }} as registry on targets.model_id = registry.model_id
    left join {{ exceptions }} as exceptions
        on targets.model_id = exceptions.model_id
        and targets.metric = exceptions.metric

),

merits as (

    select
        *,
        {%- for column in ['target', 'floor', 'baseline'] %}
        case direction
            when 'up' then {{ column }}
            when 'down' then -{{ column }}
            when 'zero' then -abs({{ column }})
        end as {{ column }}_merit{{ ',' if not loop.last }}
        {%- endfor %}
    from directed

)

select
    *,
    'target ' || target || ' of ' || metric || ' contradicts its direction ' || direction || ': worse than '
    || case when floor_merit > target_merit then 'its floor ' || floor else 'its baseline ' || baseline end as what,
    'Correct the target, or direction in the metric card or in model_metrics.' as fix
from merits
where floor_merit > target_merit or baseline_merit > target_merit
{% endtest %}
