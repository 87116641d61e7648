-- One row per model and version with judged scores: the version before it.
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where segment_name = 'all' and not is_missing and positive_count + negative_count > 0

),

versions as (

    select
        model_id,
        model_version,
        min(decision_date) as first_date
    from score_bins
    group by model_id, model_version

),

version_predecessors as (

    select
        model_id,
        model_version,
        lag(model_version) over (partition by model_id order by first_date nulls last, model_version nulls last) as compared_with
    from versions

)

select * from version_predecessors
