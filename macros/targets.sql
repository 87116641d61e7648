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

{# Whether the values of a relation with target, baseline, due date and interval are on the way to it: open where noise could be why
   they are not. NULL where the target names no way. #}
{% macro target_outlook(judged) -%}
    {%- set low = 'coalesce(' ~ judged ~ '.value_low, ' ~ judged ~ '.value)' -%}
    {%- set high = 'coalesce(' ~ judged ~ '.value_high, ' ~ judged ~ '.value)' -%}
    {%- set worst = 'case ' ~ judged ~ ".direction when 'down' then " ~ high ~ " when 'up' then " ~ low ~ ' else ' ~ judged ~ '.value end' -%}
    {%- set best = 'case ' ~ judged ~ ".direction when 'down' then " ~ low ~ " when 'up' then " ~ high ~ ' else ' ~ judged ~ '.value end' -%}
    case
        when
            {{ judged }}.value is null
            or {{ judged }}.baseline is null
            or {{ judged }}.due is null
            or {{ judged }}.direction = 'none'
            then null
        when {{ reaches(judged ~ '.value', judged ~ '.target', judged ~ '.direction') }} then 'reached'
        when {{ judged }}.expected_value is null then 'missed'
        when {{ reaches(worst, judged ~ '.expected_value', judged ~ '.direction') }} then 'on_the_way'
        when {{ reaches(best, judged ~ '.expected_value', judged ~ '.direction') }} then 'open'
        else 'behind'
    end
{%- endmacro %}

{# The value at the due date, if it goes on as since the day from which the target holds; NULL in its first 28 days. A line does not
   know that a share ends at 0 and at 1, and a count or a time at 0. #}
{% macro projected_value(judged, metrics, day) -%}
    {%- set days = dbt.datediff(judged ~ '.valid_from', day, 'day') -%}
    {%- set line = judged ~ '.baseline + (' ~ judged ~ '.value - ' ~ judged ~ '.baseline) * '
        ~ dbt.datediff(judged ~ '.valid_from', judged ~ '.due', 'day') ~ ' / ' ~ days -%}
    case
        when {{ days }} < 28 or {{ day }} >= {{ judged }}.due then null
        when {{ metrics }}.is_proportion or ({{ metrics }}.unit = 'share' and {{ metrics }}.direction = 'up')
            then least(greatest({{ line }}, 0), 1)
        when {{ metrics }}.unit in ('share', 'count', 'hours', 'milliseconds') then greatest({{ line }}, 0)
        else {{ line }}
    end
{%- endmacro %}

{# The share of the way from the baseline to the target that a value has gone, from 0 to 1: a goal surpassed does not excuse another
   that is missed. NULL where the way is unknown. #}
{% macro attainment(goals) -%}
    {%- set columns = ['value', 'target', 'baseline'] -%}
    {%- set from_zero = [] -%}
    {%- for column in columns %}{% do from_zero.append("case when " ~ goals ~ ".direction = 'zero' then abs(" ~ goals ~ '.' ~ column ~ ') else ' ~ goals ~ '.' ~ column ~ ' end') %}{% endfor -%}
    {%- set value, target, baseline = from_zero -%}
    case
        when {{ goals }}.value is null or {{ goals }}.direction = 'none' then null
        when {{ reaches(goals ~ '.value', goals ~ '.target', goals ~ '.direction') }} then 1
        when nullif(({{ target }}) - ({{ baseline }}), 0) is not null
            then greatest(0, least(1, {{ safe_ratio('(' ~ value ~ ') - (' ~ baseline ~ ')', '(' ~ target ~ ') - (' ~ baseline ~ ')') }}))
    end
{%- endmacro %}
