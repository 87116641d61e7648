{#  What builds remember: the ledger of the last finished one, what began since, and the fingerprint of what a model is made of. #}

{# The ledger of the last finished build; none where there is none, or none is wanted. #}
{% macro build_ledger() %}
    {% if not may_look() or flags.FULL_REFRESH %}
        {{ return(none) }}
    {% endif %}
    {% set node = graph.nodes['model.' ~ package_name() ~ '.int_build_ledger'] %}
    {{ return(adapter.get_relation(node.database, node.schema, node.alias)) }}
{% endmacro %}

{# One row per run that began and model it was about to alter, or table it made empty, since the last finished build. #}
{% macro build_starts() %}
    {% set node = graph.nodes['model.' ~ package_name() ~ '.int_build_ledger'] %}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier='build_starts')) }}
{% endmacro %}

{% macro create_build_starts() %}
    {% if execute and flags.WHICH in ['run', 'build'] and is_selected() %}
        {% do adapter.create_schema(build_starts()) %}
        create table if not exists {{ build_starts() }} (
            relation_name {{ dbt.type_string() }},
            fingerprint {{ dbt.type_string() }},
            as_of timestamp,
            invocation_id {{ dbt.type_string() }}
        )
    {% endif %}
{% endmacro %}

{% macro note_build_start() %}
    {% set rows = [] %}
    {% if execute and flags.WHICH in ['run', 'build'] %}
        {% set parts = {} %}
        {% for node in touched_models() if node.unique_id in selected_resources %}
            {% do rows.append([node.name, 'no rows' if without_rows() else fingerprint(ancestors(node), parts)]) %}
        {% endfor %}
    {% endif %}
    {% if rows %}
        insert into {{ build_starts() }}
        {% for row in rows %}
        select '{{ row[0] }}', {{ text_literal(row[1]) }}, {{ as_of() }}, '{{ invocation_id }}' {{ 'union all' if not loop.last }}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Whether the run makes relations without rows, `dbt build --empty`. #}
{% macro without_rows() %}
    {{ return(flags.EMPTY is defined and flags.EMPTY) }}
{% endmacro %}

{# The models of strategy `touched`. #}
{% macro touched_models() %}
    {% set found = [] %}
    {% for node in graph.nodes.values()
        if node.resource_type == 'model' and node.package_name == package_name() and node.config.materialized == 'incremental' and node.config.incremental_strategy == 'touched' %}
        {% do found.append(node) %}
    {% endfor %}
    {{ return(found | sort(attribute='name')) }}
{% endmacro %}

{# Ids of a node and of all of this package that it is made from, in order. #}
{% macro ancestors(node) %}
    {% set found = {node.unique_id: true} %}
    {% set queue = [node.unique_id] %}
    {% for id in queue if id in graph.nodes %}
        {% for parent in graph.nodes[id].depends_on.nodes if parent not in found and parent.split('.')[1] == package_name() %}
            {% do found.update({parent: true}) %}
            {% do queue.append(parent) %}
        {% endfor %}
    {% endfor %}
    {{ return(found.keys() | sort) }}
{% endmacro %}

{# The settings that nothing incremental reads: another value of them makes no relation anew. #}
{% macro settings_of_readers() %}
    {{ return([
        'as_of', 'minimum_cell', 'exact_row_cap', 'unit_value_tolerance', 'review_grace_days', 'input_thresholds', 'tolerated_checks',
        'feature_importance', 'drift_minimum', 'drift_major', 'drift_minimum_count', 'new_category_maximum',
        'fairness_bound', 'reference_groups', 'variable_costs', 'credit_rule',
    ]) }}
{% endmacro %}

{# Changes with whatever decides what a model holds, but for the rows delivered and as_of: the settings, and the parts of all
   it is made from. `parts` keeps those already taken. #}
{% macro fingerprint(ancestry, parts) %}
    {% set taken = [dbt_version, project_macros()] %}
    {% for name in default_settings() if name not in settings_of_readers() %}
        {% do taken.append(setting(name) | string) %}
    {% endfor %}
    {% for id in ancestry %}
        {% if id not in parts %}
            {% do parts.update({id: fingerprint_part(id)}) %}
        {% endif %}
        {% do taken.append(parts[id]) %}
    {% endfor %}
    {{ return(local_md5(taken | join('|'))) }}
{% endmacro %}

{# Of a model or seed: its file and, where meta.made_of_metrics says that it is compiled from them, the metrics. Of what reads a raw table:
   the contract too, and the columns that were delivered, since their types tell how a value is written as a text. Those of a mapped
   table are not known as a run begins; where they change, so do the digests of its rows. #}
{% macro fingerprint_part(id) %}
    {% if id not in graph.nodes %}
        {{ return(local_md5(graph.sources[id].name)) }}
    {% endif %}
    {% set parts = [graph.nodes[id].checksum.checksum] %}
    {% if graph.nodes[id].name[4:] in raw_tables() %}
        {% set table = graph.nodes[id].name[4:] %}
        {% do parts.append(contract(table) | string ~ ('' if is_mapped(table) else raw_columns(table))) %}
    {% endif %}
    {% if (graph.nodes[id].config.meta or {}).get('made_of_metrics') %}
        {% for name, brick in bricks().items() %}
            {% set fact = brick.semantic_model %}
            {% do parts.append(name ~ brick.expression ~ date_column(fact) ~ segments_of(fact) ~ brick.lift ~ fact.config.meta ~ fact.model ~ is_versioned(fact)) %}
        {% endfor %}
        {% for metric in metrics() %}
            {% do parts.append(metric.name ~ metric.card.tier ~ metric.card.get('is_proportion') ~ metric.card.get('balance_points')) %}
        {% endfor %}
        {% do parts.append(metric_bricks() | string) %}
    {% endif %}
    {{ return(local_md5(parts | join('|'))) }}
{% endmacro %}

{# The project's macros as one hash: which of them a model calls, dbt knows only once it has compiled it. #}
{% macro project_macros() %}
    {% if remembered().macros is not defined %}
        {% set texts = [] %}
        {% for name in context if context[name].macro is defined and context[name].macro.original_file_path.startswith('macros/') and context[name].macro.package_name == package_name() %}
            {% do texts.append(context[name].macro.macro_sql) %}
        {% endfor %}
        {% do remembered().update({'macros': local_md5(texts | sort | join('|'))}) %}
    {% endif %}
    {{ return(remembered().macros) }}
{% endmacro %}

{# The span of as_of over the last finished build, those begun since, and this one: [from, to] as literals. #}
{% macro as_of_span() %}
    {% if build_ledger() is none %}
        {{ return([as_of(), as_of()]) }}
    {% endif %}
    {% set span = rows_of("
        select cast(min(as_of) as " ~ dbt.type_string() ~ "), cast(max(as_of) as " ~ dbt.type_string() ~ ")
        from (
            select cast(entry_value as timestamp) as as_of from " ~ build_ledger() ~ " where entry_kind = 'as_of'
            union all
            select as_of from " ~ build_starts() ~ "
            union all
            select " ~ as_of() ~ " as as_of
        ) as builds
    ")[0] %}
    {{ return(["cast('" ~ span[0] ~ "' as timestamp)", "cast('" ~ span[1] ~ "' as timestamp)"]) }}
{% endmacro %}

{# True if this build simply continues the last for a raw table: it reads the table, no build is unfinished, and as_of did not move
   back. Then what was checked still stands, and only new rows need be read. #}
{% macro is_forward(table) %}
    {% if build_ledger() is none or 'model.' ~ package_name() ~ '.chk_' ~ table not in selected_resources %}
        {{ return(false) }}
    {% endif %}
    {% set counts = rows_of("
        select
            (select count(*) from " ~ build_starts() ~ " where invocation_id <> '" ~ invocation_id ~ "'),
            (select count(*) from " ~ build_ledger() ~ " where entry_kind = 'as_of' and cast(entry_value as timestamp) > " ~ as_of() ~ ")
    ")[0] %}
    {{ return(counts[0] == 0 and counts[1] == 0) }}
{% endmacro %}

{# Whether this run builds every model of strategy `touched` and all they are made from, seeds too; only then may the ledger move on. #}
{% macro is_whole_build() %}
    {% set ledger = graph.nodes['model.' ~ package_name() ~ '.int_build_ledger'] %}
    {{ return(not without_rows() and ancestors(ledger) | select('in', graph.nodes) | reject('in', selected_resources) | list | length == 0) }}
{% endmacro %}

{% macro forget_build_starts() %}
    {% if execute and is_whole_build() %}
        truncate table {{ build_starts() }}
    {% endif %}
{% endmacro %}
