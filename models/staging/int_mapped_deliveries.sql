-- One row per raw table that is mapped to a model or source of the host project, and delivery of it: a day on which rows arrived.
-- A mapped table may be made by the run that reads it, so its deliveries are noted once it stands, not as the run begins.
{{- config(pre_hook=[
    "{{ check_mapped_tables() }}",
    "{{ note_deliveries(mapped=true) }}",
    "{{ note_replaced_deliveries(mapped=true) }}",
]) }}
{%- for table in mapped_tables() if is_mapped(table) %}{% do mapped_relation(setting('sources')[table]) %}{% endfor %}
with noted as (

    {% if execute and tables_read(mapped=true) -%}
    select * from {{ noted_deliveries() }} where table_name in ('{{ tables_read(mapped=true) | join("', '") }}')
    {%- else -%}
    select
        cast(null as {{ dbt.type_string() }}) as delivery,
        cast(null as {{ dbt.type_string() }}) as fingerprint,
        cast(null as boolean) as is_new,
        cast(null as boolean) as is_replaced,
        cast(null as {{ dbt.type_string() }}) as table_name
    where 1 = 0
    {%- endif %}

)

select * from noted
