{% macro duckdb__type_double() %}double{% endmacro %}

{% macro duckdb__safe_cast_to(type, expression, delivered_type) -%}
    {%- if type == 'string' -%}
        {%- set text = expression if delivered_type == 'VARCHAR' else 'cast(' ~ expression ~ ' as varchar)' -%}
        {#- the comparisons spare nearly every text the costly trim -#}
        case when {{ text }} >= '!' and {{ text }} not like '% ' then {{ text }} else nullif(trim({{ text }}), '') end
    {%- elif delivered_type in {'double': ['DOUBLE'], 'timestamp': ['TIMESTAMP'], 'boolean': ['BOOLEAN'], 'integer': ['BIGINT']}[type] -%}
        {{ expression }}
    {%- elif type == 'double' -%}
        {{ duckdb__number(expression, delivered_type) }}
    {%- elif type == 'integer' and not delivered_type.endswith('INT') and delivered_type != 'INTEGER' -%}
        {%- set number = duckdb__number(expression, delivered_type) -%}
        {#- a plain cast would round 1.7 to 2 -#}
        case when {{ number }} = floor({{ number }}) then try_cast({{ number }} as bigint) end
    {%- elif type == 'boolean' and delivered_type in ['VARCHAR', ''] -%}
        try_cast(trim(cast({{ expression }} as varchar)) as boolean)
    {%- elif type == 'timestamp' and not delivered_type.startswith('TIMESTAMP') and delivered_type != 'DATE' -%}
        {#- a cast from text to timestamp ignores the zone, so it goes through timestamptz; a named zone would be kept for the
            texts that follow, so it is not read -#}
        {%- set text = 'trim(' ~ (expression if delivered_type == 'VARCHAR' else 'cast(' ~ expression ~ ' as varchar)') ~ ')' %}
        case when not regexp_matches({{ text }}, '[A-Za-z]{2}|^[\t\r\n]') or regexp_matches({{ text }}, '(UTC|GMT)$')
            then cast(try_cast({{ text }} as timestamptz) as timestamp) end
    {%- else -%}
        try_cast({{ expression }} as {{ contract_type(type) }})
    {%- endif -%}
{%- endmacro %}

{# The number that a text writes, else NULL: a cast alone would take 1_000 for one. Of a mapped value DuckDB knows the type. #}
{% macro duckdb__number(expression, delivered_type) -%}
    {%- set is_number = "regexp_matches(cast(" ~ expression ~ " as varchar), '" ~ number_pattern() ~ "', 'i')" -%}
    {%- if delivered_type == 'VARCHAR' -%}
        case when {{ is_number }} then try_cast({{ expression }} as double) end
    {%- elif delivered_type == '' -%}
        case when typeof({{ expression }}) <> 'VARCHAR' or {{ is_number }} then try_cast({{ expression }} as double) end
    {%- else -%}
        try_cast({{ expression }} as double)
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__number_text(number) %}cast({{ number }} as varchar){% endmacro %}

{% macro duckdb__matches(text, pattern) %}regexp_matches({{ text }}, '{{ pattern }}'){% endmacro %}

{% macro duckdb__raw_relation(table, with_delivery=false) %}
    {% set chosen = chosen_source(table) %}
    {% if chosen and not is_file_pattern(chosen) %}
        {{ return(chosen) }}
    {% endif %}
    {% set named = ", filename = '_delivery'" if with_delivery and duckdb__delivers_files(table) else '' %}
    {% set readers = [] %}
    {% for path in duckdb__paths(table) %}
        {% set end = path | lower %}
        {% if is_parquet(path) %}
            {% do readers.append("select * from read_parquet('" ~ path ~ "', union_by_name = true, hive_partitioning = false" ~ named ~ ")") %}
        {% else %}
            {#- all but the delimiter is fixed: DuckDB would take # for a comment, and skip first rows that are wider than the header -#}
            {% set packed = {'.gz': 'gzip', '.[gg][zz]': 'gzip', '.zst': 'zstd', '.[zz][ss][tt]': 'zstd'} %}
            {% set compressions = [] %}
            {% for packing, name in packed.items() if end.endswith(packing) %}{% do compressions.append(name) %}{% endfor %}
            {% do readers.append("select * from read_csv('" ~ path ~ "', all_varchar = true, header = true, skip = 0, comment = '', quote = '\"', escape = '\"', compression = '" ~ (compressions + ['none'])[0] ~ "', union_by_name = true, hive_partitioning = false" ~ named ~ ")") %}
        {% endif %}
    {% endfor %}
    {#- the doctor looks at the first rows alone where there are very many -#}
    {% set few = ' limit ' ~ var('rows_looked_at') if var('rows_looked_at', none) else '' %}
    {{ return('(' ~ readers | join(' union all by name ') ~ few ~ ')' if readers else none) }}
{% endmacro %}

{# What DuckDB reads below the folder of a raw table, in upper or lower case; scripts/throughline/inputs.py has the same list. #}
{% macro file_patterns() %}
    {{ return([
        '**/*.[pP][aA][rR][qQ][uU][eE][tT]',
        '**/*.[cCtT][sS][vV]',
        '**/*.[cCtT][sS][vV].[gG][zZ]',
        '**/*.[cCtT][sS][vV].[zZ][sS][tT]',
    ]) }}
{% endmacro %}

{# Whether a file pattern of a raw table matches Parquet files; else they are CSV. #}
{% macro is_parquet(path) %}
    {{ return(modules.re.search('[.](parquet|\\[pp\\].*\\[tt\\]$)', path.removeprefix(workspace() ~ '/') | lower) is not none) }}
{% endmacro %}

{# The file patterns of a raw table that match a file, as literals without quotes; none where it is a relation. #}
{% macro duckdb__paths(table) %}
    {% set chosen = (setting('sources') or {}).get(table) %}
    {% set patterns = [chosen] if chosen else [] %}
    {% for pattern in file_patterns() if not chosen %}
        {% do patterns.append('raw/' ~ table ~ '/' ~ pattern) %}
    {% endfor %}
    {% set paths = [] %}
    {% for pattern in patterns if is_file_pattern(pattern) %}
        {% set path = located_pattern(pattern) | replace("'", "''") %}
        {% if not may_look() or '://' in path or matches_a_file(path) %}
            {% do paths.append(path) %}
        {% endif %}
    {% endfor %}
    {{ return(paths) }}
{% endmacro %}

{# A file pattern of the settings as DuckDB finds it from the project. #}
{% macro located_pattern(pattern) %}
    {{ return(pattern if pattern.startswith('/') or '://' in pattern else workspace() ~ '/' ~ pattern) }}
{% endmacro %}

{# Whether a file pattern, a literal without quotes, matches a file: asked once in a run. #}
{% macro matches_a_file(path) %}
    {% set found = remembered().setdefault('patterns', {}) %}
    {% if path not in found %}
        {% do found.update({path: run_query("select 1 from glob('" ~ path ~ "') limit 1") | length > 0}) %}
    {% endif %}
    {{ return(found[path]) }}
{% endmacro %}

{# The folders whose files belong to a raw table: its own and, where `sources` has a pattern, what stands before the first wildcard. #}
{% macro watched_folders(table) %}
    {% set own = 'raw/' ~ table ~ '/' %}
    {% set chosen = (setting('sources') or {}).get(table, own) %}
    {% set folders = [own] if chosen == own or chosen.startswith(own) else [] %}
    {% set start = modules.re.match('([^*?\\[]*/)?', chosen).group(0) %}
    {% if is_file_pattern(chosen) and '://' not in chosen and modules.re.search('[*?\\[]', chosen) and start and not start.startswith(own) %}
        {% do folders.append(start) %}
    {% endif %}
    {{ return(folders) }}
{% endmacro %}

{% macro duckdb__unread_files(table) %}
    {% set read = [] %}
    {% for other in setting('inputs') %}
        {% for path in duckdb__paths(other) if '://' not in path %}
            {% do read.append("select file from glob('" ~ path ~ "')") %}
        {% endfor %}
    {% endfor %}
    {% set unread = [] %}
    {% for folder in watched_folders(table) %}
        {% set place = located_pattern(folder) | replace("'", "''") %}
        {% set others = [] %}
        {% for other in raw_tables() if other != table %}
            {% do others.append("and not starts_with(file, '" ~ located_pattern('raw/' ~ other ~ '/') | replace("'", "''") ~ "')") %}
        {% endfor %}
        {% for row in run_query("
            select substr(file, length('" ~ place ~ "') + 1) as name
            from glob('" ~ place ~ "**')
            where not regexp_matches(name, '(^|/)[._]') " ~ others | join(' ') ~ "
                and file not in (" ~ (read | join(' union all ') if read else "select ''") ~ ")
            order by file
        ") %}
            {% do unread.append(folder ~ row[0]) %}
        {% endfor %}
    {% endfor %}
    {{ return(unread) }}
{% endmacro %}

{% macro duckdb__table_format(table) %}
    {% set logs = {'_delta_log/*': 'Delta', 'metadata/*.avro': 'Iceberg', '.hoodie/*': 'Hudi'} %}
    {% for folder in watched_folders(table) %}
        {% for log, name in logs.items() if matches_a_file(located_pattern(folder ~ '**/' ~ log) | replace("'", "''")) %}
            {{ return({'name': name, 'folder': folder}) }}
        {% endfor %}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}

{% macro duckdb__delivers_files(table) %}
    {% set chosen = (setting('sources') or {}).get(table, 'raw/' ~ table) %}
    {{ return(is_file_pattern(chosen) and '://' not in chosen) }}
{% endmacro %}

{% macro duckdb__delivered_rows(table, with_delivery=false) -%}
    {%- if not duckdb__delivers_files(table) -%}
        {{ raw_relation(table, with_delivery) }}
    {%- else -%}
    (
        select *{{ ' exclude (_delivery)' if not with_delivery }}
        from {{ raw_relation(table, with_delivery=true) }}
        where _delivery in ({{ duckdb__noted_files(table) }})
    )
    {%- endif -%}
{%- endmacro %}

{# Of Parquet files by their footers. #}
{% macro duckdb__delivered_count(table) -%}
    {%- set paths = duckdb__paths(table) if duckdb__delivers_files(table) else [] -%}
    {%- set typed = [] -%}
    {%- for path in paths if is_parquet(path) -%}{%- do typed.append(path) -%}{%- endfor -%}
    {%- if paths and typed == paths -%}
        select coalesce(sum(num_rows), 0)
        from (
            {%- for path in paths %}
            select file_name, num_rows from parquet_file_metadata('{{ path }}')
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        )
        where file_name in ({{ duckdb__noted_files(table) }})
    {%- else -%}
        select count(*) from {{ delivered_rows(table) }} as delivered
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__composed(text) -%}nfc_normalize({{ text }}){%- endmacro %}

{# The files of a raw table that this build reads. #}
{% macro duckdb__noted_files(table) -%}
    select case when starts_with(delivery, '/') then delivery else {{ text_literal(workspace() ~ '/') }} || delivery end
    from {{ noted_deliveries() }}
    where table_name = '{{ table }}' and fingerprint is not null
{%- endmacro %}

{% macro duckdb__delivery(table, delivered) -%}
    {%- if duckdb__delivers_files(table) -%}
        delivered._delivery
    {%- else -%}
        {{ day_of_arrival(table, delivered) }}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__located(name, table) %}
    {{ return(workspace() ~ '/' ~ name if duckdb__delivers_files(table) and not name.startswith('/') else name) }}
{% endmacro %}

{% macro duckdb__deliveries(table) -%}
    {%- if duckdb__delivers_files(table) -%}
    {#- relative to the workspace, which may move -#}
    {%- for path in duckdb__paths(table) %}
    select
        '{{ table }}' as table_name,
        case
            when starts_with(filename, {{ text_literal(workspace() ~ '/') }}) then substr(filename, {{ workspace() | length + 2 }})
            else filename
        end as delivery,
        concat_ws(' ', size, last_modified) as fingerprint,
        fingerprint as seen_part
    from read_blob('{{ path }}')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- else -%}
    {{ days_of_arrival(table) }}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__row_digest(row) %}hash({{ row }}){% endmacro %}

{# What is computed for touched dates stays a query until it is inserted: a temporary table lies unpacked in memory. #}
{% macro duckdb__create_table_as(temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none) %}
    {%- if temporary and model.resource_type == 'model' and model.config.meta.get('touched_by') %}
    create or replace temporary view {{ relation.include(database=false, schema=false) }} as (
        {{ compiled_code }}
    );
    {%- else %}
    {{ return(dbt.duckdb__create_table_as(temporary, relation, compiled_code, language, partitioned_by, sorted_by)) }}
    {%- endif %}
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
