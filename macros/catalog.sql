{# The ways by which raw tables reach a fact: source -> names of the nodes from the raw table to the fact, the shortest way of each. #}
{% macro ways_from_raw(fact_id) %}
    {% set ways = {fact_id: [graph.nodes[fact_id].name]} %}
    {% set found = namespace(frontier=[fact_id]) %}
    {% for _ in graph.nodes if found.frontier %}
        {% set reached = [] %}
        {% for node_id in found.frontier if node_id in graph.nodes %}
            {% for parent_id in graph.nodes[node_id].depends_on.nodes if parent_id not in ways and not is_raw(node_id) %}
                {% set parent = graph.nodes.get(parent_id) or graph.sources[parent_id] %}
                {#- dimensions, seeds and what says which rows are new carry no number -#}
                {% if is_raw(parent_id) or (parent.resource_type == 'model' and not parent.name.startswith(('dim_', 'cfg_')) and not parent.config.meta.get('carries_no_number')) %}
                    {% set name = (parent.source_name or parent.package_name) ~ '.' ~ parent.name if is_raw(parent_id) else parent.name %}
                    {% do ways.update({parent_id: [name] + ways[node_id]}) %}
                    {% do reached.append(parent_id) %}
                {% endif %}
            {% endfor %}
        {% endfor %}
        {% set found.frontier = reached %}
    {% endfor %}
    {% set from_raw = {} %}
    {% for node_id, way in ways.items() if is_raw(node_id) %}
        {% do from_raw.update({way[0]: way}) %}
    {% endfor %}
    {{ return(from_raw) }}
{% endmacro %}

{# Whether a node is where rows come from: a source, or what a host has mapped. #}
{% macro is_raw(node_id) %}
    {{ return(node_id not in graph.nodes or graph.nodes[node_id].package_name != package_name()) }}
{% endmacro %}

{# One row per metric with its ways from the raw tables to the waist, as a text. #}
{% macro metric_lineages() %}
    {% set all_bricks = bricks() %}
    {% set fact_ways = {} %}
    {% set rows = [] %}
    {% for metric in metrics() %}
        {% set lines = [] %}
        {% set fact_ids = [] %}
        {% for brick in [metric.numerator, metric.denominator] | reject('none') %}
            {% do fact_ids.append(all_bricks[brick].semantic_model.depends_on.nodes[0]) %}
        {% endfor %}
        {% for fact_id in (['model.' ~ package_name() ~ '.' ~ metric.computed_in] if metric.computed_in else fact_ids) %}
            {% if fact_id not in fact_ways %}
                {% do fact_ways.update({fact_id: ways_from_raw(fact_id)}) %}
            {% endif %}
            {% for way in fact_ways[fact_id].values() %}
                {% do lines.append((way + (['int_shape_values'] if metric.computed_in else ['fct_bricks', 'fct_metrics'])) | join(' > ')) %}
            {% endfor %}
        {% endfor %}
        {% do rows.append({'metric': metric.name, 'lineage': lines | unique | sort | join('; ')}) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}
