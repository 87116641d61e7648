{# Postgres 15 or later. Where a host names us in dispatch, its own nodes call these macros too: there they do as dbt does. #}

{% macro postgres__type_double() %}double precision{% endmacro %}

{# Postgres 15 has no cast that forgives: a text is cast where its pattern says that it can be. Any other value that
   is not of a plain type goes through its text. #}
{% macro postgres__safe_cast_to(type, expression, delivered_type) -%}
    {%- set text = expression if delivered_type == 'text' else 'cast(' ~ expression ~ ' as text)' -%}
    {%- set is_number = delivered_type in ['smallint', 'integer', 'bigint', 'real', 'double precision'] or delivered_type.startswith('numeric') -%}
    {%- if type == 'string' and delivered_type in ['real', 'double precision'] -%}
        {{ number_text(expression) }}
    {%- elif type == 'string' -%}
        nullif(trim({{ text }}), '')
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
        {%- set text = 'trim(' ~ text ~ ')' %}
        case when {{ text }} ~ '{{ moment_pattern() }}'
            then cast(regexp_replace({{ text }}, '([.][0-9]{6})[0-9]+', '\1') as timestamptz) at time zone 'UTC' end
    {%- elif type == 'boolean' -%}
        case
            when lower(trim({{ text }})) in ('true', 't', 'yes', 'y', '1') then true
            when lower(trim({{ text }})) in ('false', 'f', 'no', 'n', '0') then false
        end
    {%- endif -%}
{%- endmacro %}

{# The number that a text writes, else NULL; what no double can hold is infinite or zero. #}
{% macro postgres__number(text) -%}
    {%- set lowered = 'lower(' ~ text ~ ')' -%}
    case
        when {{ lowered }} !~ '{{ number_pattern() }}' then null
        when {{ lowered }} ~ '[a-df-z]' then cast({{ lowered }} as double precision)
        when abs(cast({{ lowered }} as numeric)) > 1.7976931348623158e308 then cast('infinity' as double precision)
        when abs(cast({{ lowered }} as numeric)) < 2.5e-324 then 0
        else cast({{ lowered }} as double precision)
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

{# Other encodings have one form. #}
{% macro postgres__composed(text) -%}
    case when getdatabaseencoding() = 'UTF8' then normalize({{ text }}, nfc) else {{ text }} end
{%- endmacro %}

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
    {{ return(dbt.default__get_empty_schema_sql(typed_columns(columns) if model.package_name == 'throughline' else columns)) }}
{% endmacro %}

{% macro postgres__get_table_columns_and_constraints() %}
    {%- set columns = typed_columns(model['columns']) if model.package_name == 'throughline' else model['columns'] -%}
    ({{ adapter.render_raw_columns_constraints(raw_columns=columns) | join(', ') }})
{% endmacro %}

{% macro postgres__create_csv_table(model, agate_table) %}
    {{ return(dbt.default__create_csv_table(typed_seed(model) if model.package_name == 'throughline' else model, agate_table)) }}
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

{# Who writes holds a lock that many may hold, and looks who holds the one that keeps other writers out: the command line, whose server
   process THROUGHLINE_LOCK names, or nobody. Whoever takes that one looks for writers in turn, so neither can slip past the other. A
   build whose command was killed, or whose session was ended, writes no further model. #}
{% macro postgres__hold_writing() %}
    {% if execute %}
    {% set schema = "hashtext(" ~ text_literal(target.schema) ~ ")" %}
do $throughline$
declare
    ours constant integer := {{ workspace_variable('THROUGHLINE_LOCK') or 'null' }};
    theirs integer;
    holder text;
begin
    perform pg_advisory_lock_shared(hashtext('throughline writes'), {{ schema }});
    select pid, usename || ' (' || coalesce(nullif(application_name, ''), 'unnamed') || '; server process ' || pid || ')' into theirs, holder
    from pg_locks
    inner join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 2
        and pg_locks.database = (select oid from pg_database where datname = current_database())
        and classid = cast(hashtext('throughline') as oid)
        and objid = cast({{ schema }} as oid);
    if ours is not null and theirs is distinct from ours then
        raise exception 'the lock of this build is lost: server process % has ended', ours
            using hint = 'See the log of the server for who ended it, and build again: nothing is lost.';
    elsif ours is null and theirs is not null then
        raise exception 'schemas {{ target.schema | replace("'", "''") | replace("%", "%%") }}_* are in use by %', holder
            using hint = 'Wait until it ends, or end it there.';
    end if;
end
$throughline$
    {% endif %}
{% endmacro %}

{% macro postgres__rename_relation(from_relation, to_relation) %}
    {% if project_name != 'throughline' %}{{ return(dbt.default__rename_relation(from_relation, to_relation)) }}{% endif %}
    {% set name = adapter.quote_as_configured(to_relation.identifier, 'identifier') %}
    {% call statement('rename_relation') %}
        {{ once_free(from_relation, 'alter table ' ~ from_relation ~ ' rename to ' ~ name) }}
    {% endcall %}
{% endmacro %}

{% macro postgres__drop_relation(relation) %}
    {% if project_name != 'throughline' %}{{ return(dbt.default__drop_relation(relation)) }}{% endif %}
    {% call statement('drop_relation', auto_begin=False) %}
        {{ once_free(relation, get_drop_sql(relation)) }}
    {% endcall %}
{% endmacro %}

{# A statement that must have a relation for itself, once no transaction of another session holds it. It asks for an instant at a time:
   while it waits, whoever comes to read waits behind it. Where that lasts longer than lock_timeout, it names the holder. #}
{% macro once_free(relation, statement) %}
do $throughline$
declare
    patience constant text := current_setting('lock_timeout');
    began constant timestamptz := clock_timestamp();
    ends constant timestamptz := case when cast(patience as interval) > interval '0' then began + cast(patience as interval) end;
    span integer := 50;
    holders text;
begin
    loop
        begin
            perform set_config('lock_timeout', span || 'ms', true);
            {{ statement }};
            perform set_config('lock_timeout', patience, true);
            return;
        exception when lock_not_available then
            if clock_timestamp() > ends then
                select string_agg(
                    usename || ' (' || coalesce(nullif(application_name, ''), 'unnamed') || '; server process ' || pid || ')'
                        || coalesce(', in a transaction since ' || to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS "UTC"'), '')
                        || coalesce(', its last query begun at ' || to_char(query_start, 'HH24:MI:SS "UTC"'), ''),
                    ' and ' order by pid
                ) into holders
                from (
                    select distinct pid from pg_locks
                    where granted and relation = to_regclass({{ text_literal(relation | string) }}) and pid <> pg_backend_pid()
                ) as locks
                inner join pg_stat_activity using (pid)
                where coalesce(xact_start < began, true);
                raise exception 'held for more than % by %', patience, coalesce(holders, 'another session')
                    using hint = 'End that transaction, or raise THROUGHLINE_LOCK_TIMEOUT, and build again: nothing is lost.';
            end if;
            perform pg_sleep(2 * span / 1000.0);
            span := least(2 * span, 500);
        end;
    end loop;
end
$throughline$
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
    {% if execute and workspace_variable('THROUGHLINE_READER') and marts in schemas %}
        grant usage on schema {{ adapter.quote(marts) }} to {{ adapter.quote(workspace_variable('THROUGHLINE_READER')) }}
    {% endif %}
{% endmacro %}
