-- One row per model, version, watched feature, day and bin with decisions in it.
-- depends_on: {{ ref('int_touched_feature_dates') }}
with models as (

    select * from {{ ref('dim_models') }}

),

edges as (

    select * from {{ ref('int_feature_edges') }}

),

feature_references as (

    select * from {{ ref('int_feature_references') }}

),

delivered as {{ not_materialized() }} (

    select * from {{ ref('stg_prediction_logs') }} where {{ touched('cast(predicted_at as date)') }}

),

decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }} where {{ touched('decision_date') }}

),

-- features stand in staging alone; these are the decisions of fct_decisions
predictions as {{ not_materialized() }} (

    select
        delivered.model_id,
        delivered.model_version,
        delivered.entity_id,
        {%- for name in input_features() %}
        delivered.{{ name }},
        {%- endfor %}
        1 / coalesce(delivered.sampling_fraction, 1) as sampling_weight,
        cast(delivered.predicted_at as date) as decision_date
    from delivered
    inner join models on delivered.model_id = models.model_id
    where (delivered.environment is null or delivered.environment = 'prod')

),

labels as {{ not_materialized() }} (

    {{ labels_to_watch() }}

),

number_rows as {{ not_materialized() }} (
    {{ feature_rows('number') }}
),

category_rows as {{ not_materialized() }} (
    {{ feature_rows('category') }}
),

number_edges as (

    select
        model_id,
        {%- for number in range(1, 10) %}
        max(case when bin = 'q{{ number }}' then lower_bound end) as edge_{{ number }},
        {%- endfor %}
        feature
    from edges
    where feature_kind = 'number'
    group by model_id, feature

),

points as (

    select * from edges where feature_kind = 'number' and bin like 'p%'

),

categories as (

    select * from edges where feature_kind = 'category' and category is not null

),

binned as (

    select
        number_rows.model_id,
        number_rows.model_version,
        number_rows.feature,
        number_rows.decision_date,
        number_rows.sampling_weight,
        -- the interval is the number of edges that the value has reached
        case
            when number_rows.feature_value is null then 'missing'
            else coalesce(points.bin, 'q' || cast(
                0
                {%- for number in range(1, 10) %}
                + case when number_rows.feature_value >= number_edges.edge_{{ number }} then 1 else 0 end
                {%- endfor %}
                as {{ dbt.type_string() }}
            ))
        end as bin
    from number_rows
    inner join number_edges
        on number_rows.model_id = number_edges.model_id
        and number_rows.feature = number_edges.feature
    left join points
        on number_rows.model_id = points.model_id
        and number_rows.feature = points.feature
        and number_rows.feature_value = points.lower_bound
    union all
    select
        category_rows.model_id,
        category_rows.model_version,
        category_rows.feature,
        category_rows.decision_date,
        category_rows.sampling_weight,
        case when category_rows.feature_value is null then 'missing' else coalesce(categories.bin, 'new') end as bin
    from category_rows
    left join categories
        on category_rows.model_id = categories.model_id
        and category_rows.feature = categories.feature
        and category_rows.feature_value = categories.category

),

summed as (

    select
        model_id,
        model_version,
        feature,
        decision_date,
        bin,
        count(*) as row_count,
        cast(sum(sampling_weight) as {{ type_double() }}) as decision_count,
        cast(sum(sampling_weight * sampling_weight) as {{ type_double() }}) as weight_square_sum
    from binned
    group by model_id, model_version, feature, decision_date, bin

),

-- a feature without a value in the reference is not the model's
feature_bins as (

    select
        summed.model_id,
        summed.model_version,
        summed.feature,
        summed.bin,
        feature_references.edges_hash,
        summed.row_count,
        summed.decision_count,
        summed.weight_square_sum,
        summed.decision_date
    from summed
    inner join feature_references
        on summed.model_id = feature_references.model_id
        and summed.feature = feature_references.feature

)

select * from feature_bins
