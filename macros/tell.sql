{# What the command line must know of a host, on one line of JSON: it asks once and reads nothing else. #}
{% macro tell_project() %}
    {% set settings = {} %}
    {% for name in default_settings() %}
        {% do settings.update({name: setting(name)}) %}
    {% endfor %}
    {# YAML reads it as a moment #}
    {% do settings.update({'as_of': settings.as_of | string}) if settings.as_of %}
    {% set relations = {'build_starts': told_place(build_starts(), is_public=false)} %}
    {% for node in ours(graph.nodes) if node.resource_type == 'model' %}
        {% set place = api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) %}
        {% do relations.update({node.name: told_place(place, id=node.unique_id, reads=node.depends_on.nodes, is_public=node.access | string == 'public')}) %}
    {% endfor %}
    {% set mapped = [] %}
    {% for kind in ['sources', 'governed'] %}
        {% for table, text in (settings[kind] or {}).items() if mapped_names(text) is not none %}
            {% do mapped.append(told_place(mapped_relation(text), setting=kind ~ '.' ~ table, text=text)) %}
        {% endfor %}
    {% endfor %}
    {{ print('PROJECT ' ~ tojson({
        'settings': settings,
        'relations': relations,
        'mapped': mapped,
        'problems': metric_problems(),
        'metrics': metrics() | map(attribute='name') | list,
        'target': {'name': target.name, 'type': adapter.type(), 'schema': target.schema, 'path': target.get('path')},
    })) }}
{% endmacro %}

{# A relation as JSON can have it, with what else is said of it. #}
{% macro told_place(relation) %}
    {{ return(dict({'database': relation.database, 'schema': relation.schema, 'identifier': relation.identifier}, **kwargs)) }}
{% endmacro %}
