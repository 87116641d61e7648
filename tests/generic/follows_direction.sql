{% test follows_direction(model) %}
{# Targets that contradict the direction of their metric: worse than their own floor or baseline. #}
{%- set directions = metric_directions() %}
with directions as (

    {{ literal_rows(directions, ['metric', 'direction']) if directions else "select '' as metric, '' as direction" }}

),

judged as (

    select
        targets.*,
        directions.direction,
        {%- for column in ['target', 'floor', 'baseline'] %}
        case directions.direction
            when 'up' then targets.{{ column }}
            when 'down' then -targets.{{ column }}
            else -abs(targets.{{ column }})
        end as {{ column }}_merit{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }} as targets
    inner join directions on targets.metric = directions.metric

)

select
    *,
    'target ' || target || ' of ' || metric || ' contradicts its direction ' || direction || ': worse than '
    || case when floor_merit > target_merit then 'its floor ' || floor else 'its baseline ' || baseline end as what,
    'Correct the target, or direction in the metric card.' as fix
from judged
where floor_merit > target_merit or baseline_merit > target_merit
{% endtest %}
