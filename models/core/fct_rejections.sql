-- One row per day of arrival, raw table, model and reason of rejection; `(kept)` for rows that keep the contract.
with rejected as (

    select * from {{ ref('stg_rejected_rows') }}

),

kept as (

    {%- for table in raw_tables() %}
    select
        cast('{{ table }}' as {{ dbt.type_string() }}) as table_name,
        {% if table in ['business_outcomes', 'experiment_assignments', 'kpi_annotations'] -%}
        cast(null as {{ dbt.type_string() }}) as model_id,
        {%- else -%}
        model_id,
        {%- endif %}
        loaded_at
    from {{ ref('stg_' ~ table) }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}

),

arrivals as (

    select
        table_name,
        model_id,
        reason,
        1 as is_rejected,
        loaded_at
    from rejected
    union all
    select
        table_name,
        model_id,
        cast('(kept)' as {{ dbt.type_string() }}) as reason,
        0 as is_rejected,
        loaded_at
    from kept

),

dated as (

    select
        *,
        -- a row without a readable time of arrival belongs to the day the marts speak of
        coalesce(cast(loaded_at as date), {{ as_of_date() }}) as arrival_date
    from arrivals

),

rejections as (

    select
        table_name,
        coalesce(model_id, '(none)') as model_id,
        reason,
        count(*) as row_count,
        sum(is_rejected) as rejected_row_count,
        arrival_date
    from dated
    where {{ touched('arrival_date') }}
    group by table_name, coalesce(model_id, '(none)'), reason, arrival_date

)

select * from rejections
