{# Postgres 15 or later. #}

{% macro postgres__type_double() %}double precision{% endmacro %}

{# Postgres 15 has no cast that forgives: a text is cast where its pattern says that it can be. Any other value that
   is not of a plain type goes through its text. #}
{% macro postgres__safe_cast_to(type, expression, delivered_type) -%}
    {%- set text = expression if delivered_type == 'text' else 'cast(' ~ expression ~ ' as text)' -%}
    {%- set is_number = delivered_type in ['smallint', 'integer', 'bigint', 'real', 'double precision'] or delivered_type.startswith('numeric') -%}
    {%- if type == 'string' -%}
        case when trim({{ text }}) <> '' then {{ text }} end
    {%- elif delivered_type == {'double': 'double precision', 'timestamp': 'timestamp without time zone', 'boolean': 'boolean', 'integer': 'bigint'}[type] -%}
        {{ expression }}
    {%- elif type == 'double' -%}
        {{ 'cast(' ~ expression ~ ' as double precision)' if is_number else postgres__number(text) }}
    {%- elif type == 'integer' -%}
        {%- set number = expression if is_number else postgres__number(text) -%}
        {#- a plain cast would round 1.7 to 2 -#}
        case when {{ number }} = floor({{ number }}) and abs({{ number }}) < 9223372036854775808
            then cast({{ number }} as bigint) end
    {%- elif type == 'timestamp' and delivered_type == 'timestamp with time zone' -%}
        {{ expression }} at time zone 'UTC'
    {%- elif type == 'timestamp' and delivered_type == 'date' -%}
        cast({{ expression }} as timestamp)
    {%- elif type == 'timestamp' -%}
        {#- a finer part than microseconds is cut off, as elsewhere, not rounded -#}
        case when {{ text }} ~ '{{ moment_pattern() }}'
            then cast(regexp_replace({{ text }}, '([.][0-9]{6})[0-9]+', '\1') as timestamptz) at time zone 'UTC' end
    {%- elif type == 'boolean' -%}
        case
            when lower({{ text }}) in ('true', 't', 'yes', 'y', '1') then true
            when lower({{ text }}) in ('false', 'f', 'no', 'n', '0') then false
        end
    {%- endif -%}
{%- endmacro %}

{# The number that a text writes, else NULL; what no double can hold is infinite or zero. #}
{% macro postgres__number(text) -%}
    {%- set trimmed = 'lower(trim(' ~ text ~ '))' -%}
    case
        when {{ trimmed }} !~ '{{ number_pattern() }}' then null
        when {{ trimmed }} ~ '[a-df-z]' then cast({{ trimmed }} as double precision)
        when abs(cast({{ trimmed }} as numeric)) > 1.7976931348623158e308 then cast('infinity' as double precision)
        when abs(cast({{ trimmed }} as numeric)) < 2.5e-324 then 0
        else cast({{ trimmed }} as double precision)
    end
{%- endmacro %}

{% macro postgres__matches(text, pattern) %}{{ text }} ~ '{{ pattern }}'{% endmacro %}

{% macro postgres__raw_columns(table) %}
    {% set columns = {} %}
    {% set found %}
        select attname, format_type(atttypid, null)
        from pg_attribute
        where attrelid = to_regclass({{ text_literal(raw_relation(table) | string) }}) and attnum > 0 and not attisdropped
        order by attnum
    {% endset %}
    {% for row in run_query(found) %}
        {% do columns.update({row[0]: row[1]}) %}
    {% endfor %}
    {{ return(columns or none) }}
{% endmacro %}

{# Put together by hand: a function takes no more than a hundred arguments. #}
{% macro postgres__json_row(columns) -%}
    '{'
    {%- for key, column in columns.items() %}
    || {{ "',' || " if not loop.first }}cast(to_json(cast({{ text_literal(key) }} as text)) as text) || ':'
    || coalesce(cast(to_json(cast({{ column }} as text)) as text), 'null')
    {%- endfor %}
    || '}'
{%- endmacro %}

{% macro postgres__get_empty_schema_sql(columns) %}
    {{ return(dbt.default__get_empty_schema_sql(typed_columns(columns))) }}
{% endmacro %}

{% macro postgres__get_table_columns_and_constraints() %}
    ({{ adapter.render_raw_columns_constraints(raw_columns=typed_columns(model['columns'])) | join(', ') }})
{% endmacro %}

{% macro postgres__create_csv_table(model, agate_table) %}
    {{ return(dbt.default__create_csv_table(typed_seed(model), agate_table)) }}
{% endmacro %}

{% macro postgres__ordered_list(expression, separator, order_by) -%}
    string_agg({{ expression }}, '{{ separator }}' order by {{ order_by | join(' nulls last, ') }} nulls last)
{%- endmacro %}

{% macro postgres__row_digest(row) %}hashtextextended(cast({{ row }} as text), 0){% endmacro %}

{# Autovacuum looks at a new table after a minute; by then a join of it may have been planned as if it were empty. #}
{% macro postgres__gather_statistics() %}
    {% if model.config.materialized != 'view' %}
        analyze {{ this }}
    {% endif %}
{% endmacro %}

{# dbt quotes the names of those it takes a right from, but not of those it gives one. #}
{% macro postgres__get_grant_sql(relation, privilege, grantees) %}
    {% set names = [] %}
    {% for grantee in grantees %}
        {% do names.append(adapter.quote(grantee)) %}
    {% endfor %}
    grant {{ privilege }} on {{ relation }} to {{ names | join(', ') }}
{% endmacro %}

{% macro postgres__open_marts() %}
    {% set marts = target.schema ~ '_marts' %}
    {% if execute and env_var('THROUGHLINE_READER', '') and marts in schemas %}
        grant usage on schema {{ adapter.quote(marts) }} to {{ adapter.quote(env_var('THROUGHLINE_READER')) }}
    {% endif %}
{% endmacro %}
