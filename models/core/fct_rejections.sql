-- One row per day of arrival, raw table, model and reason of rejection; `(kept)` for rows that keep the contract.
with arrivals as (

    select * from {{ ref('stg_arrivals') }}

),

dated as (

    select
        table_name,
        coalesce(model_id, '(none)') as model_id,
        coalesce(reason, '(kept)') as reason,
        case when reason is null then 0 else 1 end as is_rejected,
        -- a row without a readable time of arrival belongs to the day the marts speak of
        coalesce(cast(loaded_at as date), {{ as_of_date() }}) as arrival_date
    from arrivals

),

rejections as (

    select
        table_name,
        model_id,
        reason,
        count(*) as row_count,
        sum(is_rejected) as rejected_row_count,
        arrival_date
    from dated
    group by table_name, model_id, reason, arrival_date

)

select * from rejections
