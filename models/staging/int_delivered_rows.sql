-- One row per raw table that is delivered: how many rows it brought.
{% for table in raw_tables() %}{% do read_raw(table) %}{% endfor -%}
with delivered as (

    {% for table in setting('inputs') if execute and is_delivered(table) -%}
    select
        cast('{{ table }}' as {{ dbt.type_string() }}) as table_name,
        cast(({{ delivered_count(table) }}) as bigint) as row_count
    union all
    {% endfor -%}
    select
        cast(null as {{ dbt.type_string() }}) as table_name,
        cast(null as bigint) as row_count
    where 1 = 0

)

select * from delivered
