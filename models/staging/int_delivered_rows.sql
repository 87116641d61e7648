-- One row per raw table that is delivered: how many rows it brought.
-- depends_on: {{ source('raw', 'prediction_logs') }}, {{ source('raw', 'usage_events') }}, {{ source('raw', 'business_outcomes') }}
-- depends_on: {{ source('raw', 'eligible_users') }}, {{ source('raw', 'experiment_assignments') }}, {{ source('raw', 'feedback') }}
-- depends_on: {{ source('raw', 'model_releases') }}, {{ source('raw', 'serving_costs') }}, {{ source('raw', 'kpi_annotations') }}
-- depends_on: {{ source('raw', 'alert_actions') }}
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
