-- One row per model, version and type of cost that costs name.
with costs as (

    select * from {{ ref('stg_serving_costs') }}

),

named_costs as (

    select distinct
        model_id,
        model_version,
        cost_type
    from costs
    where model_version is not null

)

select * from named_costs
