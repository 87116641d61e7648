-- One row per model and day of its score bins that is recomputed in this build.
{%- set columns = {
    'model_id': dbt.type_string(),
    'bin_number': 'bigint',
    'lower_edge': type_double(),
    'upper_edge': type_double(),
    'is_point_mass': 'boolean',
    'decision_date': 'date',
} %}
with touched_decisions as (

    select * from {{ ref('int_touched_decisions') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

edges as (

    select * from {{ ref('int_score_edges') }}

),

built_bins as (

    {{ built_rows('fct_score_bins', columns, "segment_name = 'all'") }}

),

-- a late row of the reference days or a new threshold moves edges, and what was put into the bins before stands in wrong ones
moved_models as (

    select distinct built_bins.model_id
    from built_bins
    left join edges
        on built_bins.model_id = edges.model_id
        and built_bins.bin_number = edges.bin_number
        and coalesce(built_bins.lower_edge, 0) = coalesce(edges.lower_edge, 0)
        and coalesce(built_bins.upper_edge, 0) = coalesce(edges.upper_edge, 0)
        and (built_bins.lower_edge is null) = (edges.lower_edge is null)
        and (built_bins.upper_edge is null) = (edges.upper_edge is null)
        and built_bins.is_point_mass = edges.is_point_mass
    where edges.model_id is null

),

-- a decision that left a model leaves a day of that model, so each model has the day
score_days as (

    select
        models.model_id,
        touched_decisions.touched_date as decision_date
    from touched_decisions
    cross join models
    where touched_decisions.touched_date is not null
    union
    select
        built_bins.model_id,
        built_bins.decision_date
    from built_bins
    inner join moved_models on built_bins.model_id = moved_models.model_id

),

touched_score_dates as (

    select
        cast('fct_score_bins' as {{ dbt.type_string() }}) as relation_name,
        {{ score_day_key() }} as touched_key,
        decision_date as touched_date
    from score_days

)

select * from touched_score_dates
