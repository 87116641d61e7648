-- One row per raw table and delivery: a file, or the day on which rows arrived where the table is a relation.
{%- for table in raw_tables() %}
{%- do source('raw', table) %}
{%- endfor %}
with delivered as (

    {%- if execute %}
    {%- for table in setting('inputs') %}
    {{ deliveries(table) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- else %}
    select 1 as placeholder
    {%- endif %}

),

seen as (

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
    where entry_kind = 'delivery'
    {%- endif %}

),

compared as (

    select
        cast(coalesce(delivered.table_name, seen.table_name) as {{ dbt.type_string() }}) as table_name,
        cast(coalesce(delivered.delivery, seen.delivery) as {{ dbt.type_string() }}) as delivery,
        cast(delivered.fingerprint as {{ dbt.type_string() }}) as fingerprint,
        delivered.delivery is not null and (seen.delivery is null or seen.fingerprint <> delivered.fingerprint) as is_new,
        seen.delivery is not null and (delivered.delivery is null or seen.fingerprint <> delivered.seen_part) as is_replaced
    from delivered
    full outer join seen
        on delivered.table_name = seen.table_name
        and delivered.delivery = seen.delivery

)

select * from compared
