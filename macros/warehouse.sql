{# What differs between warehouses. Each macro is implemented once per warehouse in macros/warehouses/. #}

{% macro type_double() %}{{ return(adapter.dispatch('type_double')()) }}{% endmacro %}

{# NULL instead of an error where the text of `expression` is not of the contract type. #}
{% macro safe_cast_to(type, expression, delivered_type) %}
    {{ return(adapter.dispatch('safe_cast_to')(type, expression, delivered_type)) }}
{% endmacro %}

{# A double as text: a whole number ends in `.0`, however large, and what is infinite is `inf`. #}
{% macro number_text(number) %}{{ return(adapter.dispatch('number_text')(number)) }}{% endmacro %}

{% macro default__number_text(number) -%}
    case
        when abs({{ number }}) < 1e16 and {{ number }} = floor({{ number }})
            then cast(cast({{ number }} as bigint) as {{ dbt.type_string() }}) || '.0'
        when abs({{ number }}) > 1.7976931348623157e308
            then replace(lower(cast({{ number }} as {{ dbt.type_string() }})), 'infinity', 'inf')
        else cast({{ number }} as {{ dbt.type_string() }})
    end
{%- endmacro %}

{# Whether a text matches a regular expression. #}
{% macro matches(text, pattern) %}{{ return(adapter.dispatch('matches')(text, pattern)) }}{% endmacro %}

{# A number as people and programs write it, in lower case, perhaps with blanks around it. #}
{% macro number_pattern() -%}
    ^[ \t\r\n]*[+-]?(([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]{1,4})?|inf|infinity|nan)[ \t\r\n]*$
{%- endmacro %}

{# ISO 8601: a day that exists, perhaps with a time, perhaps with a zone. #}
{% macro moment_pattern() -%}
    {%- set days = [
        '[0-9]{4}-(0?[13578]|1[02])-(0?[1-9]|[12][0-9]|3[01])',
        '[0-9]{4}-(0?[469]|11)-(0?[1-9]|[12][0-9]|30)',
        '[0-9]{4}-0?2-(0?[1-9]|1[0-9]|2[0-8])',
        '([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-0?2-29',
    ] -%}
    ^(?!0000)({{ days | join('|') }})([ T](([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9]([.][0-9]*)?)?|24:00(:00)?)(Z| ?UTC|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)?)?$
{%- endmacro %}

{# What a raw table is read from: files of the workspace or a relation. #}
{% macro raw_relation(table, with_delivery=false) %}{{ return(adapter.dispatch('raw_relation')(table, with_delivery)) }}{% endmacro %}

{# The rows of the deliveries that this build found as it began: a file that comes while it runs is for the next. #}
{% macro delivered_rows(table, with_delivery=false) %}{{ return(adapter.dispatch('delivered_rows')(table, with_delivery)) }}{% endmacro %}

{% macro default__delivered_rows(table, with_delivery=false) %}{{ return(raw_relation(table, with_delivery)) }}{% endmacro %}

{# Query of the number of rows delivered of a raw table, counted in another way than they are read, where there is one. #}
{% macro delivered_count(table) %}{{ return(adapter.dispatch('delivered_count')(table)) }}{% endmacro %}

{% macro default__delivered_count(table) %}select count(*) from {{ delivered_rows(table) }} as delivered{% endmacro %}

{# What delivered a row: its file, or the day it arrived where a relation is read. #}
{% macro delivery(table, delivered) %}{{ return(adapter.dispatch('delivery')(table, delivered)) }}{% endmacro %}

{% macro default__delivery(table, delivered) %}{{ return(day_of_arrival(table, delivered)) }}{% endmacro %}

{# The name of a noted delivery as `delivery` has it in the rows. #}
{% macro located(name, table) %}{{ return(adapter.dispatch('located')(name, table)) }}{% endmacro %}

{% macro default__located(name, table) %}{{ return(name) }}{% endmacro %}

{# Query of table_name, delivery, its fingerprint, and the fingerprint of what the last finished build saw of it. #}
{% macro deliveries(table) %}{{ return(adapter.dispatch('deliveries')(table)) }}{% endmacro %}

{% macro default__deliveries(table) %}{{ return(days_of_arrival(table)) }}{% endmacro %}

{# Whether a raw table is delivered in files that show as such, not as rows of a relation. #}
{% macro delivers_files(table) %}{{ return(adapter.dispatch('delivers_files')(table)) }}{% endmacro %}

{% macro default__delivers_files(table) %}{{ return(false) }}{% endmacro %}

{# A number that changes with any value of a row; sums of it do not depend on the order of rows. #}
{% macro row_digest(row) %}{{ return(adapter.dispatch('row_digest')(row)) }}{% endmacro %}

{# Deletes the touched rows of a relation and inserts what was computed for them. #}
{% macro replace_touched(arg_dict) %}{{ return(adapter.dispatch('replace_touched')(arg_dict)) }}{% endmacro %}

{% macro default__replace_touched(arg_dict) %}
    {%- set columns = arg_dict.dest_columns | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict.target_relation }} where {{ touched_rows_of_target() }};
    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }}
{% endmacro %}

{# How a table of this run's notes is parted, where parts are what can be deleted. #}
{% macro parted_by(column) %}{{ return(adapter.dispatch('parted_by')(column)) }}{% endmacro %}

{% macro default__parted_by(column) %}{% endmacro %}

{# One statement that deletes the rows of a table, parted by this column, in which the column has one of these texts. #}
{% macro delete_values(relation, column, texts) %}{{ return(adapter.dispatch('delete_values')(relation, column, texts)) }}{% endmacro %}

{% macro default__delete_values(relation, column, texts) %}
    delete from {{ relation }} where {{ column }} in ('{{ texts | join("', '") }}')
{% endmacro %}

{# Whether single rows of a fact can be replaced. #}
{% macro replaces_rows() %}{{ return(adapter.dispatch('replaces_rows')()) }}{% endmacro %}

{% macro default__replaces_rows() %}{{ return(true) }}{% endmacro %}

{# Query of the time zone in which the session reads and writes moments. #}
{% macro session_zone_query() %}{{ return(adapter.dispatch('session_zone_query')()) }}{% endmacro %}

{% macro default__session_zone_query() %}select current_setting('TimeZone'){% endmacro %}

{# The rows of a query asked while compiling. #}
{% macro rows_of(query) %}
    {% call statement('rows', fetch_result=True, auto_begin=False) %}{{ query }}{% endcall %}
    {{ return(load_result('rows').table.rows) }}
{% endmacro %}

{# The delivered columns of a raw table, name as unquoted SQL finds it -> warehouse type; none where it does not exist. #}
{% macro raw_columns(table) %}
    {% if not may_look() %}
        {% set columns = {} %}
        {% for column in contract(table).columns %}
            {% do columns.update({column.name: ''}) %}
        {% endfor %}
        {{ return(columns) }}
    {% endif %}
    {% set found = remembered().setdefault('raw_columns', {}) %}
    {% set place = table ~ ' in ' ~ chosen_source(table) %}
    {% if place not in found %}
        {% do found.update({place: adapter.dispatch('raw_columns')(table)}) %}
    {% endif %}
    {{ return(found[place]) }}
{% endmacro %}

{# False where dbt may not ask the warehouse (`dbt compile --no-introspect`): the contract is then taken as delivered. #}
{% macro may_look() %}
    {{ return(execute and not (flags.INTROSPECT is defined and not flags.INTROSPECT)) }}
{% endmacro %}

{# Where a raw table is looked for and how to bring it there, for the message that it is missing. #}
{% macro missing_raw_table(table) %}{{ return(adapter.dispatch('missing_raw_table')(table)) }}{% endmacro %}

{# On a server raw tables stand in the schema of the source, where `throughline load` brings files, or are mapped. #}
{% macro default__raw_relation(table, with_delivery=false) %}
    {% set chosen = chosen_source(table) %}
    {{ return(chosen if chosen and not is_file_pattern(chosen) else source('raw', table)) }}
{% endmacro %}

{% macro default__missing_raw_table(table) %}
    {{ return("does not exist as " ~ raw_relation(table) ~ ". Bring it there with `throughline load`, map it in the setting sources") }}
{% endmacro %}

{# Whether an entry of the setting `sources` names files and not a relation. #}
{% macro is_file_pattern(text) %}
    {{ return('/' in text or modules.re.search('[.](parquet|[ct]sv([.](gz|zst))?)$', text | lower) is not none) }}
{% endmacro %}

{# The files in the folders of a raw table that no raw table is read from, hidden ones aside; relative to the workspace. #}
{% macro unread_files(table) %}{{ return(adapter.dispatch('unread_files')(table)) }}{% endmacro %}

{% macro default__unread_files(table) %}{{ return([]) }}{% endmacro %}

{# The table format whose log stands in a folder of a raw table, or none: such a folder also holds rows that are deleted. #}
{% macro table_format(table) %}{{ return(adapter.dispatch('table_format')(table)) }}{% endmacro %}

{% macro default__table_format(table) %}{{ return(none) }}{% endmacro %}

{# One JSON text per row from a list of columns. `columns` maps each JSON key to a column. #}
{% macro json_row(columns) %}{{ return(adapter.dispatch('json_row')(columns)) }}{% endmacro %}

{# Texts joined in the order of the columns `order_by`, NULLs last. #}
{% macro ordered_list(expression, separator, order_by) %}
    {{ return(adapter.dispatch('ordered_list')(expression, separator, order_by)) }}
{% endmacro %}

{# A text in the unicode form NFC, where the warehouse can write it. #}
{% macro composed(text) %}{{ return(adapter.dispatch('composed')(text)) }}{% endmacro %}

{% macro default__composed(text) -%}{{ text }}{%- endmacro %}

{# A text as an SQL literal, whatever characters it holds. #}
{% macro text_literal(text) %}{{ return(adapter.dispatch('text_literal')(text)) }}{% endmacro %}

{% macro default__text_literal(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}

{# A delivered name as an identifier, whatever characters it holds. #}
{% macro quoted(name) %}{{ return(adapter.dispatch('quoted')(name)) }}{% endmacro %}

{% macro default__quoted(name) -%}
    "{{ name | replace('"', '""') }}"
{%- endmacro %}

{# Keeps a CTE that is read twice from being stored in between. #}
{% macro not_materialized() %}{{ return(adapter.dispatch('not_materialized')()) }}{% endmacro %}

{% macro default__not_materialized() %}not materialized{% endmacro %}

{# The warehouse's name of a type in a contract or a seed, where those are written in DuckDB's. #}
{% macro column_type(type) %}
    {{ return({'varchar': dbt.type_string(), 'double': type_double(), 'integer': dbt.type_int()}.get(type, type)) }}
{% endmacro %}

{# Columns of a model's YAML with their types in the warehouse's names. #}
{% macro typed_columns(columns) %}
    {% set typed = {} %}
    {% for name, column in columns.items() %}
        {% do typed.update({name: dict(column, data_type=column_type(column.data_type))}) %}
    {% endfor %}
    {{ return(typed) }}
{% endmacro %}

{# A seed with its column types in the warehouse's names. #}
{% macro typed_seed(seed) %}
    {% set types = {} %}
    {% for name, type in seed.config.column_types.items() %}
        {% do types.update({name: column_type(type)}) %}
    {% endfor %}
    {{ return(dict(seed, config=dict(seed.config, column_types=types))) }}
{% endmacro %}

{# In a host dbt measures its own sources, and ours, which nobody delivers there, are never late. dbt calls this with the macros of the
   host in sight, so it calls none of ours. #}
{% macro freshness_in_host(source, loaded_at_field, filter) %}
    {% for node in graph.sources.values() if node.package_name == 'throughline' and node.relation_name == source | string %}
        {% call statement('collect_freshness', fetch_result=True, auto_begin=False) %}
        select {{ dbt.current_timestamp() }} as max_loaded_at, {{ dbt.current_timestamp() }} as snapshotted_at
        {% endcall %}
        {{ return(load_result('collect_freshness')) }}
    {% endfor %}
    {{ return(dbt.default__collect_freshness(source, loaded_at_field, filter)) }}
{% endmacro %}

{# `dbt source freshness` on what the workspace delivers, which may be files, mapped and in text. Measured at as_of, since
   later rows are invisible. A table left out of `inputs` is not awaited, so never late. #}
{% macro default__collect_freshness(source, loaded_at_field, filter) %}
    {% if project_name != 'throughline' %}
        {{ return(throughline.freshness_in_host(source, loaded_at_field, filter)) }}
    {% endif %}
    {% set table = source.identifier %}
    {% set is_read = table in setting('inputs') and not is_mapped(table) %}
    {% set delivered = raw_columns(table) if is_read else none %}
    {% set expression = delivered_expression(table, {'name': loaded_at_field}, delivered) if delivered is not none else none %}
    {% call statement('collect_freshness', fetch_result=True, auto_begin=False) %}
    {%- if not is_read %}
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

{# Before anything is written: lets one build write at a time, where the warehouse does not see to it itself. #}
{% macro hold_writing() %}{{ return(adapter.dispatch('hold_writing')()) }}{% endmacro %}

{% macro default__hold_writing() %}{% endmacro %}

{# After a model is built: what the planner of queries asks of a new table, where the warehouse does not look at once itself. #}
{% macro gather_statistics() %}{{ return(adapter.dispatch('gather_statistics')()) }}{% endmacro %}

{% macro default__gather_statistics() %}{% endmacro %}

{# Lets the role that may read the marts into their schema; the grants on the marts themselves are in dbt_project.yml. #}
{% macro open_marts() %}{{ return(adapter.dispatch('open_marts')()) }}{% endmacro %}

{% macro default__open_marts() %}{% endmacro %}
