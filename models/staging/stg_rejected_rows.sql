-- One row per delivered raw row that breaks the contract, visible at as_of.
with arrivals as (

    select * from {{ ref('stg_arrivals') }}

),

rejected_rows as (

    select
        table_name,
        row_key,
        model_id,
        reason,
        raw_row,
        loaded_at
    from arrivals
    where reason is not null

)

select * from rejected_rows
