{% macro duckdb__type_double() %}double{% endmacro %}

{% macro duckdb__safe_cast_to(type, expression, delivered_type) -%}
    {%- if type == 'string' -%}
        {%- set text = expression if delivered_type == 'VARCHAR' else 'cast(' ~ expression ~ ' as varchar)' -%}
        {#- blanks alone are no text; the comparison spares nearly every text the costly trim -#}
        case when {{ text }} >= '!' or trim({{ text }}) <> '' then {{ text }} end
    {%- elif delivered_type in {'double': ['DOUBLE'], 'timestamp': ['TIMESTAMP'], 'boolean': ['BOOLEAN'], 'integer': ['BIGINT']}[type] -%}
        {{ expression }}
    {%- elif type == 'integer' and not delivered_type.endswith('INT') and delivered_type != 'INTEGER' -%}
        {#- a plain cast would round 1.7 to 2 -#}
        case when try_cast({{ expression }} as double) = floor(try_cast({{ expression }} as double))
            then try_cast(try_cast({{ expression }} as double) as bigint) end
    {%- elif type == 'timestamp' and not delivered_type.startswith('TIMESTAMP') and delivered_type != 'DATE' -%}
        {#- a cast from text to timestamp ignores the zone, so it goes through timestamptz -#}
        cast(try_cast({{ expression }} as timestamptz) as timestamp)
    {%- else -%}
        try_cast({{ expression }} as {{ contract_type(type) }})
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__raw_relation(table) %}
    {% set chosen = (setting('sources') or {}).get(table) %}
    {% if chosen and not is_file_pattern(chosen) %}
        {{ return(chosen) }}
    {% endif %}
    {% set patterns = [chosen] if chosen else ['raw/' ~ table ~ '/**/*.parquet', 'raw/' ~ table ~ '/**/*.csv'] %}
    {% set readers = [] %}
    {% for pattern in patterns %}
        {% set path = pattern if pattern.startswith('/') or '://' in pattern else workspace() ~ '/' ~ pattern %}
        {% set path = path | replace("'", "''") %}
        {% if may_look() and '://' not in path and run_query("select 1 from glob('" ~ path ~ "') limit 1") | length == 0 %}
        {% elif '.parquet' in pattern %}
            {% do readers.append("select * from read_parquet('" ~ path ~ "', union_by_name = true, hive_partitioning = false)") %}
        {% else %}
            {% do readers.append("select * from read_csv('" ~ path ~ "', all_varchar = true, header = true, quote = '\"', escape = '\"', union_by_name = true, hive_partitioning = false)") %}
        {% endif %}
    {% endfor %}
    {{ return('(' ~ readers | join(' union all by name ') ~ ')' if readers else none) }}
{% endmacro %}

{% macro duckdb__missing_raw_table(table) %}
    {% set place = (setting('sources') or {}).get(table, 'raw/' ~ table) %}
    {{ return("has no files in " ~ (place if place.startswith('/') else workspace() ~ '/' ~ place) ~ ". Put .parquet or .csv files there, map it in the setting sources" ~ (", or run `make demo` for sample data" if workspace() == 'workspace' else "")) }}
{% endmacro %}

{% macro duckdb__raw_columns(table) %}
    {% set relation = raw_relation(table) %}
    {% set columns = {} %}
    {% if relation is none %}
        {{ return(none) }}
    {% endif %}
    {% for row in run_query('describe select * from ' ~ relation) %}
        {% do columns.update({row[0] | lower: row[1]}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{% macro duckdb__json_row(columns) -%}
    {#- texts, since JSON has no NaN and the forms of a delivery shall not differ -#}
    cast(json_object({% for key, column in columns.items() %}'{{ key | replace("'", "''") }}', cast({{ column }} as varchar){{ ', ' if not loop.last }}{% endfor %}) as varchar)
{%- endmacro %}

{% macro duckdb__ordered_list(expression, separator, order_by) -%}
    string_agg({{ expression }}, '{{ separator }}' order by {{ order_by | join(' nulls last, ') }} nulls last)
{%- endmacro %}
