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
        cast(delivered.table_name as {{ dbt.type_string() }}) as table_name,
        cast(delivered.delivery as {{ dbt.type_string() }}) as delivery,
        cast(delivered.fingerprint as {{ dbt.type_string() }}) as fingerprint,
        delivered.row_count,
        seen.fingerprint is null or seen.fingerprint <> delivered.fingerprint as is_new,
        case
            when delivered.row_count is null or seen.fingerprint is null then false
            else delivered.row_count < cast(seen.fingerprint as bigint)
        end as has_shrunk
    from delivered
    left join seen
        on delivered.table_name = seen.table_name
        and delivered.delivery = seen.delivery

)

select * from compared
