-- One row per model and version with judged decisions: the version before it.
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where segment_name = 'all'

),

models as (

    select * from {{ ref('dim_models') }}

),

versions as (

    select
        score_bins.model_id,
        score_bins.model_version,
        min(score_bins.decision_date) as first_date
    from score_bins
    inner join models on score_bins.model_id = models.model_id
    where {{ is_compared('score_bins', 'models') }}
    group by score_bins.model_id, score_bins.model_version

),

version_predecessors as (

    select
        model_id,
        model_version,
        lag(model_version) over (partition by model_id order by first_date nulls last, model_version nulls last) as compared_with
    from versions

)

select * from version_predecessors
