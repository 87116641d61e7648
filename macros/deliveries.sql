{#  What was delivered of raw tables: files, or days of arrival of relations, and which rows of them are new. #}

{# One row per raw table and delivery: a file, or the day on which rows arrived where the table is a relation. Written as a build
   begins, so that no model stands between one raw table and another. #}
{% macro noted_deliveries() %}
    {% set node = graph.nodes['model.' ~ package_name() ~ '.int_build_ledger'] %}
    {{ return(api.Relation.create(database=node.database, schema=node.schema, identifier='deliveries')) }}
{% endmacro %}

{# The raw tables that a run reads: those whose checked relation it builds; all of them, or those that are mapped, or not. #}
{% macro tables_read(mapped=none) %}
    {% set tables = [] %}
    {% if execute and flags.WHICH in ['run', 'build'] %}
        {% for table in raw_tables() if 'model.' ~ package_name() ~ '.chk_' ~ table in selected_resources and mapped in [none, is_mapped(table)] %}
            {% do tables.append(table) %}
        {% endfor %}
    {% endif %}
    {{ return(tables) }}
{% endmacro %}

{% macro create_deliveries() %}
    {% if tables_read() %}
        create table if not exists {{ noted_deliveries() }} (
            delivery {{ dbt.type_string() }},
            fingerprint {{ dbt.type_string() }},
            is_new boolean,
            is_replaced boolean,
            table_name {{ dbt.type_string() }}
        ) {{ parted_by('table_name') }}
    {% endif %}
{% endmacro %}

{% macro forget_deliveries() %}
    {% if tables_read() %}
        {{ delete_values(noted_deliveries(), 'table_name', tables_read()) }}
    {% endif %}
{% endmacro %}

{% macro note_deliveries(mapped=false) %}
    {% set tables = tables_read(mapped) %}
    {% if tables %}
        insert into {{ noted_deliveries() }}
        select
            cast(coalesce(delivered.delivery, seen.delivery) as {{ dbt.type_string() }}) as delivery,
            cast(delivered.fingerprint as {{ dbt.type_string() }}) as fingerprint,
            delivered.delivery is not null and (seen.delivery is null or seen.fingerprint <> delivered.fingerprint) as is_new,
            seen.delivery is not null and (delivered.delivery is null or seen.fingerprint <> delivered.seen_part) as is_replaced,
            cast(coalesce(delivered.table_name, seen.table_name) as {{ dbt.type_string() }}) as table_name
        from (
            {%- for table in tables if is_delivered(table) %}
            {{ deliveries(table) }}
            union all
            {%- endfor %}
            select
                cast(null as {{ dbt.type_string() }}) as table_name,
                cast(null as {{ dbt.type_string() }}) as delivery,
                cast(null as {{ dbt.type_string() }}) as fingerprint,
                cast(null as {{ dbt.type_string() }}) as seen_part
            where 1 = 0
        ) as delivered
        full outer join (
            {%- if build_ledger() is none %}
            select
                cast(null as {{ dbt.type_string() }}) as table_name,
                cast(null as {{ dbt.type_string() }}) as delivery,
                cast(null as {{ dbt.type_string() }}) as fingerprint
            where 1 = 0
            {%- else %}
            select
                entry_name as table_name,
                entry_key as delivery,
                entry_value as fingerprint
            from {{ build_ledger() }}
            where entry_kind = 'delivery' and entry_name in ('{{ tables | join("', '") }}')
            {%- endif %}
        ) as seen
            on delivered.table_name = seen.table_name
            and delivered.delivery = seen.delivery
    {% endif %}
{% endmacro %}

{# Where a delivery was changed or taken away everything is rebuilt, because its old content is unknown. New ones are noted too: a build
   that dies, or of a part, may have read what is changed before the next. #}
{% macro note_replaced_deliveries(mapped=false) %}
    {% set tables = tables_read(mapped) %}
    {% if tables %}
        {% set found = "select 'raw.' || table_name as relation_name, delivery || ' ' || fingerprint as fingerprint, is_new from " ~ noted_deliveries() ~ " where table_name in ('" ~ tables | join("', '") ~ "')" %}
        {% set replaced = rows_of("
            select count(*) from " ~ noted_deliveries() ~ " where is_replaced and table_name in ('" ~ tables | join("', '") ~ "')
            union all
            select count(*)
            from " ~ build_starts() ~ " as starts
            left join (" ~ found ~ ") as found
                on starts.relation_name = found.relation_name and starts.fingerprint = found.fingerprint
            where starts.relation_name in ('raw." ~ tables | join("', 'raw.") ~ "') and found.relation_name is null
        ") | map(attribute=0) | sum %}
        insert into {{ build_starts() }}
        select relation_name, fingerprint, {{ as_of() }}, '{{ invocation_id }}'
        from ({{ found }}) as found
        where is_new
        {% for node in touched_models() if replaced and node.unique_id in selected_resources %}
        union all
        select '{{ node.name }}', 'deliveries were replaced', {{ as_of() }}, '{{ invocation_id }}'
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Whether what is new of a raw table adds rows to those that stand: a day of arrival, unlike a file, is delivered again as it grows. #}
{% macro only_brings_rows(table) %}
    {{ return(is_forward(table) and delivers_files(table)) }}
{% endmacro %}

{# The raw rows of deliveries that are new, and those of older ones that came into or out of sight. #}
{% macro new_rows(table) %}
    {%- set delivered = raw_columns(table) -%}
    {%- set span = as_of_span() -%}
    {%- set arrived = [] -%}
    {%- for row in rows_of("select delivery from " ~ noted_deliveries() ~ " where is_new and table_name = '" ~ table ~ "'") -%}
        {%- do arrived.append(text_literal(located(row[0], table))) -%}
    {%- endfor -%}
    {%- set loaded_at = arrival(table, delivered) -%}
    (
    {%- if arrived %}
    select * from {{ raw_relation(table, with_delivery=true) }} as delivered
    where {{ delivery(table, delivered) }} in ({{ arrived | join(', ') }})
    union all
    {%- endif %}
    select * from {{ delivered_rows(table, with_delivery=true) }} as delivered
    where {{ loaded_at }} > {{ span[0] }} and {{ loaded_at }} <= {{ span[1] }}
    {%- if arrived %}
        and {{ delivery(table, delivered) }} not in ({{ arrived | join(', ') }})
    {%- endif %}
    )
{% endmacro %}

{# When a delivered row arrived. #}
{% macro arrival(table, delivered) -%}
    {%- set is_mapped = 'loaded_at' in (setting('mapping') or {}).get(table, {}) -%}
    {{ safe_cast_to('timestamp', delivered_expression(table, {'name': 'loaded_at'}, delivered), '' if is_mapped else delivered['loaded_at']) }}
{%- endmacro %}

{# The day on which a delivered row arrived, as a text. #}
{% macro day_of_arrival(table, delivered) -%}
    coalesce(cast(cast({{ arrival(table, delivered) }} as date) as {{ dbt.type_string() }}), 'unknown')
{%- endmacro %}

{# Deliveries of a raw table that is a relation: the rows of each day of arrival. Their fingerprint is their number, a digest of the
   different ones, and the moment of the last. Up to that moment a later build must find the same, but for more copies of a row. #}
{% macro days_of_arrival(table) %}
    {%- set delivered = raw_columns(table) %}
    {%- set text = dbt.type_string() %}
    {%- set was_there = '(seen.last_arrival is null or arrived.loaded_at <= seen.last_arrival)' %}
    select
        '{{ table }}' as table_name,
        arrived.delivery,
        cast(count(*) as {{ text }})
        || '|' || cast(sum(distinct arrived.digest) as {{ text }})
        || '|' || coalesce(cast(max(arrived.loaded_at) as {{ text }}), '') as fingerprint,
        case
            when
                count(case when {{ was_there }} then 1 end) >= max(seen.row_count)
                and cast(sum(distinct case when {{ was_there }} then arrived.digest end) as {{ text }}) = max(seen.digest)
                then max(seen.fingerprint)
            else 'changed'
        end as seen_part
    from (
        select
            {{ day_of_arrival(table, delivered) }} as delivery,
            {{ arrival(table, delivered) }} as loaded_at,
            {{ row_digest('delivered') }} as digest
        from {{ raw_relation(table) }} as delivered
    ) as arrived
    left join ({{ seen_days(table) }}) as seen on arrived.delivery = seen.delivery
    group by arrived.delivery
{% endmacro %}

{# What the ledger says of the days of arrival of a raw table. #}
{% macro seen_days(table) %}
    {%- set text = dbt.type_string() %}
    {%- if build_ledger() is none %}
        select
            cast(null as {{ text }}) as delivery,
            cast(null as {{ text }}) as fingerprint,
            cast(null as bigint) as row_count,
            cast(null as {{ text }}) as digest,
            cast(null as timestamp) as last_arrival
        where 1 = 0
    {%- else %}
        select
            entry_key as delivery,
            entry_value as fingerprint,
            {{ safe_cast_to('integer', "split_part(entry_value, '|', 1)", '') }} as row_count,
            split_part(entry_value, '|', 2) as digest,
            {{ safe_cast_to('timestamp', "split_part(entry_value, '|', 3)", '') }} as last_arrival
        from {{ build_ledger() }}
        where entry_kind = 'delivery' and entry_name = '{{ table }}'
    {%- endif %}
{% endmacro %}
