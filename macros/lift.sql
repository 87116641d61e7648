{#  How metrics become totals per unit of an experiment, and those become moments. A semantic model says under meta which of
    its columns name units (unit_columns), when its rows happened (event_at, else by day), and whether they are known later. #}

{# The bricks of a metric's value, each once. #}
{% macro bricks_of(metric) %}
    {{ return([metric.numerator, metric.denominator] | reject('none') | unique | list) }}
{% endmacro %}

{# Units that a metric can be read for: those that all its facts carry. #}
{% macro unit_types(metric) %}
    {% set all_bricks = bricks() %}
    {% set shared = namespace(types=['user', 'entity', 'prediction']) %}
    {% for name in bricks_of(metric) %}
        {% set carried = all_bricks[name].semantic_model.config.meta.get('unit_columns', {}) %}
        {% set shared.types = shared.types | select('in', carried) | list %}
    {% endfor %}
    {{ return(shared.types) }}
{% endmacro %}

{# When a metric is known of an event: label where it leaves out what has none, outcome where those are reported late, else event. #}
{% macro known_after(metric) %}
    {% set all_bricks = bricks() %}
    {% set found = ['label'] if metric.excluded else [] %}
    {% for name in bricks_of(metric) %}
        {% do found.append(all_bricks[name].semantic_model.config.meta.get('known_after', 'event')) %}
    {% endfor %}
    {{ return('label' if 'label' in found else 'outcome' if 'outcome' in found else 'event') }}
{% endmacro %}
