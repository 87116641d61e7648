{# A delivered value in the type of its contract column, NULL where it cannot be read. Ids and numbers that are a word for nothing are
   missing; labels come in their normal form. #}
{% macro typed_value(column, expression, delivered_type) %}
    {%- set typed = safe_cast_to(column.type, expression, delivered_type) -%}
    {%- if column.type == 'double' -%}
        nullif({{ typed }}, cast('NaN' as {{ type_double() }}))
    {%- elif column.name.endswith('_id') -%}
        {{ without_words_for_nothing(typed) }}
    {%- elif column.is_label -%}
        {{ normal_label(typed) }}
    {%- else -%}
        {{ typed }}
    {%- endif -%}
{% endmacro %}

{# What programs write where there is no value, in lower case. #}
{% macro words_for_nothing() %}
    {{ return(['nan', 'none', 'nat', 'null', 'nil', 'na', 'n/a', '#n/a', '<na>', '\\n']) }}
{% endmacro %}

{# Whether a text is a word for nothing. Most texts are too long for one. A `case` does not compare these any further; with `and`,
   DuckDB would. #}
{% macro is_word_for_nothing(text) -%}
    (case when length({{ text }}) < 5 then lower({{ text }}) in (
        {%- for word in words_for_nothing() %}{{ text_literal(word) }}{{ ', ' if not loop.last }}{% endfor -%}
    ) else false end)
{%- endmacro %}

{% macro without_words_for_nothing(text) -%}
    case when not {{ is_word_for_nothing(text) }} then {{ text }} end
{%- endmacro %}

{# One form for labels that mean the same: truth values without case, whole numbers without `.0`. Texts are trimmed before. #}
{% macro normal_label(text) -%}
    case
        when lower({{ text }}) in ('true', 'false', 'yes', 'no') then lower({{ text }})
        when {{ matches(text, '^-?[0-9]+[.]0+$') }} then split_part({{ text }}, '.', 1)
        else {{ text }}
    end
{%- endmacro %}

{# The last moment at which something can have happened: the end of the day where no time of day was delivered. #}
{% macro latest_moment(moment, text) -%}
    case when {{ text }} not like '%:%' then {{ latest_of_day(moment) }} else {{ moment }} end
{%- endmacro %}

{# The end of the day of a moment, by which anything of that day has happened. #}
{% macro latest_of_day(moment) -%}
    cast({{ dbt.dateadd('microsecond', '-1', dbt.dateadd('day', '1', 'cast(' ~ moment ~ ' as date)')) }} as timestamp)
{%- endmacro %}

{# The value of an open end: missing, or the last moment there is where a missing end would mean another. #}
{% macro open_end(column) -%}
    {{ 'cast(null as timestamp)' if column.open_end == 'missing' else "cast('2199-12-31' as timestamp)" }}
{%- endmacro %}

{# One line of text per cell that is set to NULL, `<column> <what is wrong>: <value>`; NULL where no cell is. #}
{% macro noted_cells(cells) -%}
    {%- if not cells -%}
    cast(null as {{ dbt.type_string() }})
    {%- else -%}
    case when {{ cells | map(attribute='condition') | join('\n            or ') }}
        then
            {%- for cell in cells %}
            case when {{ cell.condition }}
                then '{{ cell.words }}: ' || replace(replace(substr({{ cell.value }}, 1, 60), chr(13), ' '), chr(10), ' ') || chr(10) else '' end
            {{- ' ||' if not loop.last }}
            {%- endfor %}
    end
    {%- endif -%}
{%- endmacro %}
