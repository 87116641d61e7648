{#  What differs where Throughline is installed in a project of another name, its host: rows come from models of the host. #}

{% macro is_installed() %}{{ return(project_name != package_name()) }}{% endmacro %}

{# An environment variable of a workspace. A host has none, whatever the environment holds. #}
{% macro workspace_variable(name, default='') %}
    {{ return(default if is_installed() else env_var(name, default)) }}
{% endmacro %}

{# The arguments of a text `ref('…')` or `source('…', '…')`: {kind, names}; none of any other text. The text is an entry of a setting. #}
{% macro mapped_names(text) %}
    {% set found = modules.re.match("^\\s*(ref|source)\\(\\s*(['\"][^'\"]+['\"](\\s*,\\s*['\"][^'\"]+['\"])?)\\s*\\)\\s*$", text or '') %}
    {% if not found %}
        {{ return(none) }}
    {% endif %}
    {{ return({'kind': found.group(1), 'names': modules.re.findall("['\"]([^'\"]+)['\"]", found.group(2))}) }}
{% endmacro %}

{# The relation that an entry of a setting names with `ref` or `source`, which makes the edge of lineage; none of another text. #}
{% macro mapped_relation(text) %}
    {% set mapped = mapped_names(text) %}
    {% if mapped is none %}
        {{ return(none) }}
    {% endif %}
    {{ return(ref(*mapped.names) if mapped.kind == 'ref' else source(*mapped.names)) }}
{% endmacro %}

{# The relation that rows of a governed table come from: what the setting `governed` names, or the seed of a workspace; none where a
   host names nothing. #}
{% macro governed_relation(table) %}
    {% set chosen = (setting('governed') or {}).get(table) %}
    {% if chosen %}
        {{ return(mapped_relation(chosen) or stop("setting governed." ~ table ~ " is " ~ chosen ~ ", which is no ref('…') or source('…', '…'). Name the model, seed or source that holds the table so.")) }}
    {% endif %}
    {{ return(none if is_installed() else ref(table)) }}
{% endmacro %}

{# A governed table in the types of its contract, meta.column_types of the model being built. A column that is absent is NULL. #}
{% macro governed_rows(table) %}
    {%- set relation = governed_relation(table) -%}
    {%- set types = model.config.meta.column_types if execute else {} -%}
    {%- set delivered = [] -%}
    {%- if relation is not none and may_look() -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}{%- do delivered.append(column.name | lower) -%}{%- endfor -%}
    {%- else -%}
        {%- do delivered.extend(types) if relation is not none -%}
    {%- endif -%}
select
    {%- for name, type in types.items() %}
    cast({{ name if name in delivered else 'null' }} as {{ column_type(type) }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
    {%- if relation is not none %}
from {{ relation }}
    {%- else %}
where 1 = 0
    {%- endif %}
{%- endmacro %}
