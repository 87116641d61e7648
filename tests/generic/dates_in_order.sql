{% test dates_in_order(model, column_name) %}
{# Lists of days that hold something else, or a day that is not after the one before. #}
with {{ part_ctes(model, column_name) }},

days as (

    select
        *,
        lag(part) over (partition by experiment_id order by place) as part_before,
        -- other forms of a day would neither be read nor sort as text
        part like '____-__-__' and {{ safe_cast_to('timestamp', 'part', '') }} is not null as is_day
    from parts

),

faults as (

    select
        experiment_id,
        min(case when not is_day then {{ text_literal("'") }} || part || {{ text_literal("' is not a date") }} else part || ' is not after ' || part_before end) as fault
    from days
    where not is_day or part <= part_before
    group by experiment_id

)

select
    experiments.*,
    '{{ column_name }} of ' || experiments.experiment_id || ': ' || faults.fault as what,
    'Write days as YYYY-MM-DD in rising order, separated by ;.' as fix
from {{ model }} as experiments
inner join faults on experiments.experiment_id = faults.experiment_id
{% endtest %}
