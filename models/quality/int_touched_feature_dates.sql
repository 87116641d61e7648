-- One row per relation of drift and date that it recomputes in this build.
{%- set text = dbt.type_string() %}
with touched_decisions as (

    select * from {{ ref('int_touched_decisions') }}

),

feature_references as (

    select * from {{ ref('int_feature_references') }}

),

decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }}

),

built_bins as (

    {{ built_rows('fct_feature_bins', {'model_id': text, 'feature': text, 'edges_hash': text}) }}

),

-- a late row of the reference may move the bins, and with them every day
moved_models as (

    select feature_references.model_id
    from feature_references
    left join built_bins
        on feature_references.model_id = built_bins.model_id
        and feature_references.feature = built_bins.feature
        and feature_references.edges_hash = built_bins.edges_hash
    where built_bins.model_id is null
    union
    select built_bins.model_id
    from built_bins
    left join feature_references
        on built_bins.model_id = feature_references.model_id
        and built_bins.feature = feature_references.feature
        and built_bins.edges_hash = feature_references.edges_hash
    where feature_references.model_id is null

),

feature_dates as (

    select touched_date from touched_decisions
    union
    select decisions.decision_date as touched_date
    from decisions
    inner join moved_models on decisions.model_id = moved_models.model_id

),

touched_dates as (

    select
        cast('fct_feature_bins' as {{ text }}) as relation_name,
        touched_date
    from feature_dates
    where touched_date is not null
    union all
    select distinct
        cast('int_entity_periods' as {{ text }}) as relation_name,
        cast({{ dbt.date_trunc('week', 'touched_date') }} as date) as touched_date
    from touched_decisions
    where touched_date is not null

)

select * from touched_dates
