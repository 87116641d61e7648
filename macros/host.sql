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

{# The relation that an entry of a setting names with `ref` or `source`; none of another text. Whoever reads it while dbt parses gets an
   edge of lineage; dbt refuses `ref` to others, and they find the relation in `graph`. #}
{% macro mapped_relation(text) %}
    {% set mapped = mapped_names(text) %}
    {% if mapped is none %}
        {{ return(none) }}
    {% endif %}
    {% set node = mapped_node(mapped) if execute else none %}
    {% if execute and node is none %}
        {{ stop(text | trim ~ ", which a setting names, is nowhere in the project. Name a model, seed or source of it.") }}
    {% elif execute and node.unique_id not in (model.depends_on.nodes if model is defined else []) %}
        {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias or node.identifier)) }}
    {% endif %}
    {{ return(ref(*mapped.names) if mapped.kind == 'ref' else source(*mapped.names)) }}
{% endmacro %}

{# The node of `graph` that a mapping names, in the host first; none where there is none. #}
{% macro mapped_node(mapped) %}
    {% set found = [] %}
    {% for node in graph.sources.values() if mapped.kind == 'source' and [node.source_name, node.name] == mapped.names %}
        {% do found.append(node) %}
    {% endfor %}
    {% for node in graph.nodes.values() if mapped.kind == 'ref' and node.name == mapped.names[-1] and node.resource_type in ['model', 'seed', 'snapshot']
        and (mapped.names | length == 1 or node.package_name == mapped.names[0]) %}
        {% do found.append(node) if node.package_name != project_name else found.insert(0, node) %}
    {% endfor %}
    {{ return(found[0] if found else none) }}
{% endmacro %}

{# Makes a raw table a parent of whoever calls it: the model or source of the host that it is mapped to, and the notes of its deliveries,
   which are taken once that model stands. Else it is the source of a workspace. #}
{% macro read_raw(table) %}
    {% if is_mapped(table) %}
        {% do mapped_relation(setting('sources')[table]) %}
        {% do ref('int_mapped_deliveries') %}
    {% else %}
        {% do source('raw', table) %}
    {% endif %}
{% endmacro %}

{# Whether a raw table is mapped to a model or source by `ref` or `source`, so that it may be made within the run that reads it. #}
{% macro is_mapped(table) %}
    {{ return(mapped_names((setting('sources') or {}).get(table)) is not none) }}
{% endmacro %}

{# The raw tables that the setting sources names. #}
{% macro mapped_tables() %}
    {{ return((setting('sources') or {}).keys() | list) }}
{% endmacro %}

{# Stops where a mapped raw table cannot be read: as a run begins it may not be made yet. #}
{% macro check_mapped_tables() %}
    {% for table in tables_read(mapped=true) if table in setting('inputs') %}
        {{ check_raw_table(table) }}
    {% endfor %}
{% endmacro %}

{# What the setting sources names for a raw table: a relation, or a text; none where it names nothing. #}
{% macro chosen_source(table) %}
    {% set chosen = (setting('sources') or {}).get(table) %}
    {{ return(mapped_relation(chosen) or chosen) }}
{% endmacro %}

{# Whether a run selects anything of this package: a host runs its own models too, and then nothing is noted or checked. #}
{% macro is_selected() %}
    {% for id in selected_resources if id.split('.')[1] == package_name() %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
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

{# The governed tables that the setting `governed` maps and a node is made of, as notes of builds call them. Their content may change
   within the run that reads them. #}
{% macro governed_notes(node) %}
    {% set names = [] %}
    {% for id in (ancestors(node) if setting('governed') else []) if id in graph.nodes and graph.nodes[id].name[4:] in (setting('governed') or {}) and graph.nodes[id].name.startswith('cfg_') %}
        {% do names.append('governed.' ~ graph.nodes[id].name[4:]) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# After a mapped governed table is built: notes its content, since whatever was made of another content is to be made anew. #}
{% macro note_governed() %}
    {% if execute and flags.WHICH in ['run', 'build'] and model.name[4:] in (setting('governed') or {}) %}
        {%- set text = dbt.type_string() %}
        insert into {{ build_starts() }}
        select
            'governed.{{ model.name[4:] }}',
            {{ "'no rows'" if without_rows() else "cast(count(*) as " ~ text ~ ") || '|' || coalesce(cast(sum(distinct " ~ row_digest('governed') ~ ") as " ~ text ~ "), '')" }},
            {{ as_of() }},
            '{{ invocation_id }}'
        from {{ this }} as governed
    {% endif %}
{% endmacro %}

{# Stops a run of a host that maps no governed table of ours, in which a node of ours reads one of the host that has its name, that leaves us
   out of `dispatch`, or that reads moments in another zone. #}
{% macro check_host() %}
    {% set names = ours(graph.nodes) | map(attribute='name') | list %}
    {% for table in setting('governed') or {} if 'cfg_' ~ table not in names %}
        {{ stop("setting governed names " ~ table ~ ", which is no governed table. They are models/config/cfg_<table> of Throughline.") }}
    {% endfor %}
    {% for node in ours(graph.nodes) %}
        {% for id in node.depends_on.nodes if is_raw(id) and id in graph.nodes and graph.nodes[id].name in names %}
            {{ stop(node.name ~ " of Throughline reads " ~ graph.nodes[id].original_file_path ~ " in the place of our " ~ graph.nodes[id].name ~ ". Set the flag require_ref_searches_node_package_before_root: true in dbt_project.yml.") }}
        {% endfor %}
    {% endfor %}
    {% if adapter.dispatch('collect_freshness', 'dbt').macro.package_name != package_name() %}
        {{ stop("dbt does not find the macros of Throughline that stand for its own. Add to dispatch in dbt_project.yml: {macro_namespace: dbt, search_order: [" ~ project_name ~ ", throughline, dbt]}.") }}
    {% endif %}
    {% set zone = rows_of(session_zone_query())[0][0] %}
    {% if zone not in ['UTC', 'Etc/UTC', 'GMT', 'Etc/GMT', 'Z', '+00:00'] %}
        {{ stop("the time zone of the session is " ~ zone ~ ", in which a moment without a zone would be read. Set it to UTC in the profile, as the README shows.") }}
    {% endif %}
{% endmacro %}
