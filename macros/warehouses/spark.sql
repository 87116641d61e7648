{# Spark 3.5 or later, tables in Parquet. dbt-spark turns ANSI mode off with every statement, whatever a profile says. #}

{% macro spark__type_double() %}double{% endmacro %}

{% macro spark__not_materialized() %}{% endmacro %}

{# A text is cast where its pattern says that it can be: Spark alone would take '1d' for a number and a bare hour for a time. #}
{% macro spark__safe_cast_to(type, expression, delivered_type) -%}
    {%- set text = expression if delivered_type == 'STRING' else 'cast(' ~ expression ~ ' as string)' -%}
    {%- set is_number = delivered_type in ['TINYINT', 'SMALLINT', 'INT', 'BIGINT', 'FLOAT', 'DOUBLE', 'DECIMAL'] -%}
    {%- if type == 'string' and delivered_type in ['FLOAT', 'DOUBLE'] -%}
        {{ number_text(expression) }}
    {%- elif type == 'string' -%}
        nullif(trim({{ text }}), '')
    {%- elif delivered_type == {'double': 'DOUBLE', 'timestamp': 'TIMESTAMP', 'boolean': 'BOOLEAN', 'integer': 'BIGINT'}[type] -%}
        {{ expression }}
    {%- elif type == 'double' -%}
        {{ 'cast(' ~ expression ~ ' as double)' if is_number else spark__number(text) }}
    {%- elif type == 'integer' -%}
        {%- set number = expression if is_number else spark__number(text) -%}
        case when {{ number }} = floor({{ number }}) then try_cast({{ number }} as bigint) end
    {%- elif type == 'timestamp' and delivered_type in ['DATE', 'TIMESTAMP_NTZ'] -%}
        cast({{ expression }} as timestamp)
    {%- elif type == 'timestamp' -%}
        case when trim({{ text }}) rlike '{{ moment_pattern() }}' then try_cast({{ text }} as timestamp) end
    {%- elif type == 'boolean' -%}
        case
            when lower(trim({{ text }})) in ('true', 't', 'yes', 'y', '1') then true
            when lower(trim({{ text }})) in ('false', 'f', 'no', 'n', '0') then false
        end
    {%- endif -%}
{%- endmacro %}

{% macro spark__number(text) -%}
    case when lower({{ text }}) rlike '{{ number_pattern() }}' then try_cast({{ text }} as double) end
{%- endmacro %}

{# By way of a text, since maps have no hash. #}
{% macro spark__row_digest(row) %}cast(xxhash64(to_json(struct({{ row }}.*))) as decimal(38, 0)){% endmacro %}

{% macro spark__matches(text, pattern) %}{{ text }} rlike '{{ pattern }}'{% endmacro %}

{% macro spark__session_zone_query() %}select current_timezone(){% endmacro %}

{% macro spark__raw_columns(table) %}
    {% set relation = raw_relation(table) %}
    {% set columns = {} %}
    {% if relation is not string and not spark__exists(relation) %}
        {{ return(none) }}
    {% endif %}
    {% for column in get_column_schema_from_query('select * from ' ~ relation ~ ' where 1 = 0') %}
        {% do columns.update({column.name | lower: column.dtype | upper}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{# dbt lists the tables of a schema once, as it starts; a hook of a host may have made the relation since. #}
{% macro spark__exists(relation) %}
    {% if adapter.get_relation(database=none, schema=relation.schema, identifier=relation.identifier) %}
        {{ return(true) }}
    {% endif %}
    {% set has_schema = run_query("show schemas like '" ~ relation.schema ~ "'") | length > 0 %}
    {{ return(has_schema and run_query("show tables in " ~ relation.schema ~ " like '" ~ relation.identifier ~ "'") | length > 0) }}
{% endmacro %}

{% macro spark__json_row(columns) -%}
    to_json(named_struct(
        {%- for key, column in columns.items() %}
        {{ text_literal(key) }}, cast({{ column }} as string){{ ',' if not loop.last }}
        {%- endfor %}
    ), map('ignoreNullFields', 'false'))
{%- endmacro %}

{% macro spark__ordered_list(expression, separator, order_by) -%}
    array_join(transform(sort_array(collect_list(struct(
        {%- for column in order_by %}{{ column }} is null, {{ column }}, {% endfor %}{{ expression }} as item
    ))), row -> row.item), '{{ separator }}')
{%- endmacro %}

{% macro spark__text_literal(text) -%}
    '{{ text | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}

{% macro spark__quoted(name) -%}
    `{{ name | replace('`', '``') }}`
{%- endmacro %}

{% macro spark__get_empty_schema_sql(columns) %}
    {{ return(dbt.default__get_empty_schema_sql(typed_columns(columns) if model.package_name == 'throughline' else columns)) }}
{% endmacro %}

{% macro spark__create_csv_table(model, agate_table) %}
    {{ return(dbt.spark__create_csv_table(typed_seed(model) if model.package_name == 'throughline' else model, agate_table)) }}
{% endmacro %}

{# The adapter's own would bind a missing value as the text None, and an apostrophe would end its text. #}
{% macro spark__load_csv_rows(model, agate_table) %}
    {% if model.package_name != 'throughline' %}{{ return(dbt.spark__load_csv_rows(model, agate_table)) }}{% endif %}
    {% set types = typed_seed(model).config.column_types %}
    {% for rows in agate_table.rows | batch(get_batch_size()) %}
        {% set insert %}
            insert into {{ this }} values
            {% for row in rows %}
            ({% for value in row %}cast({{ 'null' if value is none else text_literal(value | string) }} as {{ types[agate_table.column_names[loop.index0]] }}){{ ', ' if not loop.last }}{% endfor %}){{ ',' if not loop.last }}
            {% endfor %}
        {% endset %}
        {% do run_query(insert) %}
    {% endfor %}
{% endmacro %}

{# The adapter's own refuse NULL and cut off what is finer than a second. #}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    timestampadd({{ datepart }}, cast({{ interval }} as int), cast({{ from_date_or_timestamp }} as timestamp))
{%- endmacro %}

{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- if datepart == 'day' -%}
        datediff(cast({{ second_date }} as date), cast({{ first_date }} as date))
    {%- elif datepart == 'second' -%}
        (unix_timestamp({{ second_date }}) - unix_timestamp({{ first_date }}))
    {%- else -%}
        {{ dbt.spark__datediff(first_date, second_date, datepart) }}
    {%- endif -%}
{%- endmacro %}

{# Made empty and then filled: one statement that does both leaves a folder where it is killed, whose name Spark does not take again.
   That an incremental model was made empty is noted first, so that a build which does not come to fill it is not gone on from. #}
{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') %}
    {%- if temporary or language != 'sql' or config.get('file_format') in ['delta', 'iceberg'] or model.package_name != 'throughline' -%}
        {{ return(dbt.spark__create_table_as(temporary, relation, compiled_code, language)) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(compiled_code) -%}
        {%- set compiled_code = get_select_subquery(compiled_code) -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for row in rows_of('describe query\n' ~ compiled_code) -%}
        {%- do columns.append({'name': quoted(row[0]), 'type': row[1]}) -%}
    {%- endfor -%}
    {%- if config.get('incremental_strategy') == 'touched' and config.get('materialized') == 'incremental' -%}
        {%- do run_query("insert into " ~ build_starts() ~ " select '" ~ model.name ~ "', 'made empty', " ~ as_of() ~ ", '" ~ invocation_id ~ "'") -%}
    {%- endif -%}
    {%- set names = columns | map(attribute='name') | join(', ') -%}
    {%- call statement('create_empty') %}
        create table {{ relation }} (
            {%- for column in columns %}{{ column.name }} {{ column.type }}{{ ', ' if not loop.last }}{% endfor -%}
        )
        {{ file_format_clause() }}
        {{ options_clause() }}
        {{ tblproperties_clause() }}
        {{ partition_cols(label='partitioned by') }}
        {{ clustered_cols(label='clustered by') }}
        {{ location_clause() }}
        {{ comment_clause() }}
    {% endcall -%}
    insert into {{ relation }} ({{ names }})
    select {{ names }} from (
        {{ compiled_code }}
    )
{%- endmacro -%}

{# The adapter knows its own strategies alone. #}
{% macro dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format) %}
    {{ return(raw_strategy if raw_strategy == 'touched' else dbt.dbt_spark_validate_get_incremental_strategy(raw_strategy, file_format)) }}
{% endmacro %}

{% macro dbt_spark_get_incremental_sql(strategy, source, target, existing, unique_key, incremental_predicates) %}
    {% if strategy != 'touched' %}
        {{ return(dbt.dbt_spark_get_incremental_sql(strategy, source, target, existing, unique_key, incremental_predicates)) }}
    {% endif %}
    {{ return(adapter.dispatch('replace_touched')({'temp_relation': source, 'target_relation': target})) }}
{% endmacro %}

{% macro spark__parted_by(column) %}using parquet partitioned by ({{ column }}){% endmacro %}

{% macro spark__delete_values(relation, column, texts) %}
    alter table {{ relation }} drop if exists {% for text in texts %}partition ({{ column }} = '{{ text }}'){{ ', ' if not loop.last }}{% endfor %}
{% endmacro %}

{# What a Parquet table can lose is a partition. #}
{% macro spark__replaces_rows() %}{{ return(false) }}{% endmacro %}

{# Overwrites the partition of each touched date that has rows and drops that of each that has none. #}
{% macro spark__replace_touched(arg_dict) %}
    {% set column = model.config.meta.touched_by %}
    {% do run_query('set spark.sql.sources.partitionOverwriteMode = DYNAMIC') %}
    {% set emptied = rows_of(
        "select distinct cast(touched_date as string) from " ~ ref(touched_in(model, model.config.meta.get('touched_key')))
        ~ " where relation_name = '" ~ this.identifier ~ "' and touched_date not in (select " ~ column ~ " from " ~ arg_dict.temp_relation ~ ")"
    ) %}
    {% for row in emptied %}
        {% do run_query("alter table " ~ arg_dict.target_relation ~ " drop if exists partition (" ~ column ~ " = date '" ~ row[0] ~ "')") %}
    {% endfor %}
    {{ return(get_insert_overwrite_sql(arg_dict.temp_relation, arg_dict.target_relation, load_cached_relation(arg_dict.target_relation))) }}
{% endmacro %}

{# A fact is parted by the date that it is touched by. #}
{% macro spark__partition_cols(label, required=false) %}
    {% set column = model.config.meta.get('touched_by') %}
    {{ return(label ~ ' (' ~ column ~ ')' if column else dbt.spark__partition_cols(label, required)) }}
{% endmacro %}
