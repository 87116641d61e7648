-- One row per model and day on which its decisions, or a release, began to use another set of features.
with entity_periods as (

    select * from {{ ref('int_entity_periods') }}

),

releases as (

    select * from {{ ref('fct_releases') }}

),

first_uses as (

    select
        model_id,
        feature_set_version,
        min(period_start_date) as used_date
    from entity_periods
    where period = 'day' and model_version = 'all' and feature_set_version is not null
    group by model_id, feature_set_version

),

ranked_uses as (

    select
        *,
        row_number() over (partition by model_id order by used_date nulls last, feature_set_version nulls last) as use_rank
    from first_uses

),

deployments as (

    select
        *,
        lag(feature_set_version) over (
            partition by model_id order by event_at nulls last, release_id nulls last
        ) as previous_feature_set_version
    from releases
    where event_type = 'deployed' and feature_set_version is not null

),

feature_releases as (

    select
        model_id,
        used_date as released_date
    from ranked_uses
    where use_rank > 1
    union
    select
        model_id,
        event_date as released_date
    from deployments
    where feature_set_version <> previous_feature_set_version

)

select * from feature_releases
