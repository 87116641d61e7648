-- One row per model, version, the version before it and day on which labels are known of both.
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where segment_name = 'all'

),

models as (

    select * from {{ ref('dim_models') }}

),

pairs as (

    select * from {{ ref('int_version_predecessors') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

version_days as (

    select distinct
        score_bins.model_id,
        score_bins.model_version,
        score_bins.decision_date
    from score_bins
    inner join models on score_bins.model_id = models.model_id
    where {{ is_compared('score_bins', 'models') }}

),

version_pairs as (

    select
        pairs.model_id,
        pairs.model_version,
        pairs.compared_with,
        version_days.decision_date
    from pairs
    inner join spans on pairs.model_id = spans.model_id
    inner join version_days
        on pairs.model_id = version_days.model_id
        and pairs.model_version = version_days.model_version
    inner join version_days as other_days
        on pairs.model_id = other_days.model_id
        and pairs.compared_with = other_days.model_version
        and version_days.decision_date = other_days.decision_date
    where version_days.decision_date <= spans.judged_through

)

select * from version_pairs
