{# How a value compares with its target. #}

{# The value that is on the way to a target by its due date, on a day; NULL without baseline or due, and from the due date on. #}
{% macro expected_value(targets, day) -%}
    case
        when {{ targets }}.baseline is not null and {{ day }} < {{ targets }}.due and {{ targets }}.due > {{ targets }}.valid_from then
            {{ targets }}.baseline + ({{ targets }}.target - {{ targets }}.baseline)
            * greatest({{ dbt.datediff(targets ~ '.valid_from', day, 'day') }}, 0)
            / cast({{ dbt.datediff(targets ~ '.valid_from', targets ~ '.due', 'day') }} as {{ type_double() }})
    end
{%- endmacro %}

{# Whether a value is as good as another, in its direction. #}
{% macro reaches(value, aim, direction) -%}
    case {{ direction }}
        when 'up' then {{ value }} >= {{ aim }}
        when 'down' then {{ value }} <= {{ aim }}
        when 'zero' then abs({{ value }}) <= abs({{ aim }})
    end
{%- endmacro %}

{# The status of a value beside target, floor and what is expected by now. The floor comes first. #}
{% macro target_status(value, target, floor, expected, direction) -%}
    case
        when {{ value }} is null then 'not_ready'
        when {{ target }} is null or {{ direction }} = 'none' then 'no_target'
        when not {{ reaches(value, floor, direction) }} then 'breached'
        when {{ reaches(value, target, direction) }} then 'on_target'
        when {{ expected }} is null then 'off_target'
        when {{ reaches(value, expected, direction) }} then 'on_the_way'
        else 'behind'
    end
{%- endmacro %}
