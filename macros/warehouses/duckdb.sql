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
    {% if chosen and not duckdb__is_file_pattern(chosen) %}
        {{ return(chosen) }}
    {% endif %}
    {% set patterns = [chosen] if chosen else ['raw/' ~ table ~ '/**/*.parquet', 'raw/' ~ table ~ '/**/*.csv'] %}
    {% set readers = [] %}
    {% for pattern in patterns %}
        {% set path = pattern if pattern.startswith('/') or '://' in pattern else workspace() ~ '/' ~ pattern %}
        {% set path = path | replace("'", "''") %}
        {% if execute and '://' not in path and run_query("select 1 from glob('" ~ path ~ "') limit 1") | length == 0 %}
        {% elif '.parquet' in pattern %}
            {% do readers.append("select * from read_parquet('" ~ path ~ "', union_by_name = true, hive_partitioning = false)") %}
        {% else %}
            {% do readers.append("select * from read_csv('" ~ path ~ "', all_varchar = true, header = true, quote = '\"', escape = '\"', union_by_name = true, hive_partitioning = false)") %}
        {% endif %}
    {% endfor %}
    {{ return('(' ~ readers | join(' union all by name ') ~ ')' if readers else none) }}
{% endmacro %}

{% macro duckdb__is_file_pattern(text) %}
    {{ return('/' in text or modules.re.search('[.](parquet|csv|csv[.]gz)$', text) is not none) }}
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
    string_agg({{ expression }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{% macro duckdb__not_materialized() %}not materialized{% endmacro %}

{# `dbt source freshness` on what the workspace delivers, which may be files, mapped and in text. Measured at as_of, since
   later rows are invisible. A table left out of `inputs` is not awaited, so never late. #}
{% macro duckdb__collect_freshness(source, loaded_at_field, filter) %}
    {% set table = source.identifier %}
    {% set delivered = raw_columns(table) if table in setting('inputs') else none %}
    {% set expression = delivered_expression(table, {'name': loaded_at_field}, delivered) if delivered is not none else none %}
    {% call statement('collect_freshness', fetch_result=True, auto_begin=False) %}
    {%- if table not in setting('inputs') %}
    select {{ as_of() }} as max_loaded_at, {{ as_of() }} as snapshotted_at
    {%- elif expression is none %}
    select cast(null as timestamp) as max_loaded_at, {{ as_of() }} as snapshotted_at
    {%- else %}
    {%- set is_mapped = loaded_at_field in (setting('mapping') or {}).get(table, {}) %}
    {%- set arrived_at = safe_cast_to('timestamp', expression, '' if is_mapped else delivered[loaded_at_field]) %}
    select max({{ arrived_at }}) as max_loaded_at, {{ as_of() }} as snapshotted_at
    from {{ raw_relation(table) }} as delivered
    where {{ arrived_at }} <= {{ as_of() }}{{ ' and ' ~ filter if filter }}
    {%- endif %}
    {% endcall %}
    {{ return(load_result('collect_freshness')) }}
{% endmacro %}
