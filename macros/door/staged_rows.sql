{# Rows of a raw table that keep the contract, the latest copy of each. #}
{% macro staged(table) -%}
with checked as (

    select * from {{ ref('chk_' ~ table) }}

),

kept as (

    select
        {%- if not execute %}
        *
        {%- else %}
        {%- for column in contract(table).columns %}
        {{ column.name }}{{ ',' if column.latest or not loop.last }}
        {%- if column.latest %}
        {{ column.latest }}{{ ',' if not loop.last }}
        {%- endif %}
        {%- endfor %}
        {%- endif %}
    from checked
    where reject_reason is null

)

select * from kept
{%- endmacro %}

{# The rows that the door looked at, in the columns that all raw tables share. #}
{% macro arrivals(table) -%}
    {%- do ref('chk_' ~ table) -%}
    {%- do ref('cfg_model_registry') -%}
    {%- set text = dbt.type_string() -%}
    {%- set rules = contract(table) if execute else {'columns': [], 'key': []} -%}
    {%- set has_model = 'model_id' in rules.columns | map(attribute='name') %}
select
    cast('{{ table }}' as {{ text }}) as table_name,
    nullif({{ row_key(rules) if execute else "''" }}, '') as row_key,
    {{ 'registry.known_model_id' if has_model else 'cast(null as ' ~ text ~ ')' }} as model_id,
    checked.loaded_at,
    checked.copy_count,
    checked.nulled_cells,
    checked.reject_reason as reason,
    checked.raw_row
from {{ ref('chk_' ~ table) }} as checked
    {%- if has_model %}
left join (select model_id as known_model_id from {{ ref('cfg_model_registry') }}) as registry
    on checked.model_id = registry.known_model_id
    {%- endif %}
{%- endmacro %}
