-- One row per raw table, model, check and detail: whether what was delivered can be relied on.
with checks as (

    select * from {{ ref('fct_input_checks') }}

),

input_health as (

    select
        table_name,
        model_id,
        check_name,
        detail,
        affected_count,
        checked_count,
        affected_share,
        warn_threshold,
        stop_threshold,
        status,
        example,
        fix
    from checks

)

select * from input_health
