{# The columns of a row as one of several copies. #}
{% macro copy_columns(table) -%}
    {%- set rules = contract(table) -%}
    {%- for name, type in checked_columns(table).items() if name not in ['nulled_cells', 'reject_reason', 'raw_row'] %}
        {{ fresh_column(name, type) }},
    {%- endfor %}
        checked.nulled_cells,
        checked.delivery
{%- endmacro %}

{# CTE `latest_copies`: of all copies of a key the latest, how many there were, and in which columns that say what the row is about
   they differ: 1 over time, 2 within one delivery. Where the contract names an earliest moment, its columns come from that copy. #}
{% macro latest_copy_ctes(table) -%}
    {%- set rules = contract(table) -%}
    {%- set columns = checked_columns(table) -%}
    {%- set key = rules.key | join(', ') -%}
    {%- set identity = rules.columns | selectattr('name', 'in', (rules.identity or {}).keys() | list) | list -%}
    {%- set earliest = rules.earliest or {'columns': []} -%}
    {%- set later_first = ['loaded_at desc'] -%}
    {%- for column in rules.columns if column.name not in rules.key + ['loaded_at'] -%}
        {%- do later_first.append(column.name ~ ' desc nulls last') -%}
    {%- endfor -%}
compared as (

    select
        copies.*,
        {%- for column in identity %}
        {%- set value = column.name if column.required else 'coalesce(known_' ~ column.name ~ ', ' ~ column.name ~ ')' %}
        case
            when min({{ column.name }}) over (partition by {{ key }}, loaded_at, delivery) <> max({{ column.name }}) over (partition by {{ key }}, loaded_at, delivery) then 2
            when min({{ value }}) over (partition by {{ key }}) <> max({{ value }}) over (partition by {{ key }}) then 1
            else {{ column.name }}_reuse
        end as {{ column.name }}_differs,
        {%- endfor %}
        {%- if earliest.by %}
        row_number() over (
            partition by {{ key }}
            order by {{ earliest.by }} nulls last, case when {{ earliest.by }} is not null then {{ rules.event_at }} end nulls last, {{ later_first | join(', ') }}
        ) as earliest_rank,
        {%- endif %}
        row_number() over (partition by {{ key }} order by {{ later_first | join(', ') }}) as copy_rank
    from copies

),

combined as (

    select
        {%- for name, type in columns.items() if name not in ['reject_reason', 'raw_row'] %}
        {%- if name in earliest.columns %}
        max(case when earliest_rank = 1 then {{ name }} end) over (partition by {{ key }}) as {{ name }},
        {%- elif name == 'copy_count' %}
        cast(sum(copy_count) over (partition by {{ key }}) as {{ type }}) as copy_count,
        {%- elif name.endswith('_reuse') %}
        {%- set column = name[:-6] %}
        cast(max(case when {{ name }} > {{ column }}_differs then {{ name }} else {{ column }}_differs end) over (partition by {{ key }}) as {{ type }}) as {{ name }},
        {%- elif name.startswith('known_') %}
        {%- set column = name[6:] %}
        {#- NULL for a key with one copy, so that it does not matter which build that copy came to #}
        case when sum(copy_count) over (partition by {{ key }}) > 1
            then max(coalesce({{ name }}, {{ column }})) over (partition by {{ key }}) end as {{ name }},
        {%- else %}
        {{ name }},
        {%- endif %}
        {%- endfor %}
        copy_rank
    from compared

),

latest_copies as (

    select
        {%- for name, type in columns.items() %}
        {{ name if name not in ['reject_reason', 'raw_row'] else 'cast(null as ' ~ type ~ ') as ' ~ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from combined
    where copy_rank = 1

)
{%- endmacro %}
