-- One row per metric, definition and build that first saw it: what the metric meant, and from when on.
{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}
{%- set nothing = '(select metric, definition_hash, review_by as in_force_from from metrics where 1 = 0) as nothing' %}
with metrics as (

    select * from {{ ref('dim_metrics') }}

),

known as (

    select
        metric,
        definition_hash,
        row_number() over (partition by metric order by in_force_from desc) as place
    from {{ this if is_incremental() else nothing }}

),

definitions as (

    select
        metrics.metric,
        metrics.definition_hash,
        metrics.formula,
        metrics.formula_in_words,
        metrics.owner,
        metrics.approver,
        cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp) as in_force_from
    from metrics
    left join known
        on metrics.metric = known.metric
        and known.place = 1
    where known.definition_hash is null or known.definition_hash <> metrics.definition_hash

)

select * from definitions
