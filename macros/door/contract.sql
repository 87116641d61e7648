{# The contract of a raw table, read from models/staging/_sources.yml: key, event_at, checks and columns. #}
{% macro contract(table) %}
    {% set source_node = graph.sources['source.' ~ package_name() ~ '.raw.' ~ table] %}
    {% set columns = [] %}
    {% for column in source_node.columns.values() %}
        {% do columns.append(dict(column.config.meta, name=column.name, type=column.data_type)) %}
    {% endfor %}
    {% if table == 'prediction_logs' %}
        {% for name, type in setting_columns().items() if name not in source_node.columns %}
            {% do columns.append({'name': name, 'type': type}) %}
        {% endfor %}
    {% endif %}
    {{ return(dict(source_node.config.meta, columns=columns)) }}
{% endmacro %}

{% macro contract_type(type) %}
    {{ return({'string': dbt.type_string(), 'integer': 'bigint', 'double': type_double()}.get(type, type)) }}
{% endmacro %}

{% macro in_words(type) %}
    {{ return({'integer': 'a whole number', 'double': 'a number', 'timestamp': 'a timestamp', 'boolean': 'true or false'}[type]) }}
{% endmacro %}

{# The key of a raw table as one text, its parts joined; empty where none was delivered. #}
{% macro row_key(rules) -%}
    {%- for part in rules.key -%}
        coalesce(cast({{ part }} as {{ dbt.type_string() }}), ''){{ " || ' | ' || " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The key of a staged row, which lacks no part. A single column stays bare, since a warehouse looks it up faster. #}
{% macro staged_key(rules) -%}
    {{ rules.key[0] if rules.key | length == 1 else row_key(rules) }}
{%- endmacro %}

{# What can be wrong with a value that is of its type: conditions on it, each with its words. #}
{% macro value_faults(column, value) %}
    {% set faults = [] %}
    {% if column.type == 'double' %}
        {% do faults.append({'condition': 'abs(' ~ value ~ ') > 1.7e308', 'words': column.name ~ ' is not a finite number'}) %}
    {% elif column.type == 'timestamp' %}
        {% set bounds = [value ~ " < cast('1900-01-01' as timestamp)"] %}
        {% do bounds.append(value ~ " >= cast('2200-01-01' as timestamp)") if not column.open_end %}
        {% do faults.append({'condition': bounds | join(' or '), 'words': column.name ~ ' is outside the years 1900 to 2199'}) %}
    {% endif %}
    {% if column.one_of %}
        {% do faults.append({'condition': value ~ " not in ('" ~ column.one_of | join("', '") ~ "')", 'words': column.name ~ ' is not one of ' ~ column.one_of | join(', ')}) %}
    {% endif %}
    {% if column.at_least is defined %}
        {% do faults.append({'condition': value ~ ' < ' ~ column.at_least, 'words': column.name ~ ' is below ' ~ column.at_least}) %}
    {% endif %}
    {% if column.above is defined %}
        {% do faults.append({'condition': value ~ ' <= ' ~ column.above, 'words': column.name ~ ' is not above ' ~ column.above}) %}
    {% endif %}
    {% if column.at_most is defined %}
        {% do faults.append({'condition': value ~ ' > ' ~ column.at_most, 'words': column.name ~ ' is above ' ~ column.at_most}) %}
    {% endif %}
    {{ return(faults) }}
{% endmacro %}

{# Whether a raw table is read at all: it is an input, and it is there. #}
{% macro is_delivered(table) %}
    {{ return(table in setting('inputs') and raw_columns(table) is not none) }}
{% endmacro %}

{# The delivered expression of a contract column: mapped, named alike, or none where it is absent. #}
{% macro delivered_expression(table, column, delivered) %}
    {% set mapped = (setting('mapping') or {}).get(table, {}).get(column.name) %}
    {% if mapped %}
        {{ return('(' ~ mapped ~ ')') }}
    {% endif %}
    {{ return('delivered.' ~ adapter.quote(column.name) if column.name | lower in delivered else none) }}
{% endmacro %}

{# Declares what a checked relation reads, since dbt looks for it before it executes anything. #}
{% macro declare_inputs(table) %}
    {% do ref('cfg_model_registry') %}
    {% do ref('cfg_exchange_rates') %}
    {% do read_raw(table) %}
{% endmacro %}
