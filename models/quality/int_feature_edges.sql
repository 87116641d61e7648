-- One row per model, watched feature, bin and, of a category, value in it: the bins that the reference gives.
with models as (

    select * from {{ ref('dim_models') }}

),

reference_days as (

    select * from {{ ref('int_reference_days') }}

),

delivered as {{ not_materialized() }} (

    select * from {{ ref('stg_prediction_logs') }}

),

facts as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }}

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
        1 as sampling_weight,
        reference_days.reference_date as decision_date
    from delivered
    inner join reference_days
        on delivered.model_id = reference_days.model_id
        and cast(delivered.predicted_at as date) = reference_days.reference_date
    where (delivered.environment is null or delivered.environment = 'prod')

),

decisions as {{ not_materialized() }} (

    select facts.*
    from facts
    inner join reference_days
        on facts.model_id = reference_days.model_id
        and facts.decision_date = reference_days.reference_date

),

labels as {{ not_materialized() }} (

    {{ labels_to_watch() }}

),

number_rows as (
    {{ feature_rows('number') }}
),

category_rows as (
    {{ feature_rows('category') }}
),

number_counts as (

    select
        model_id,
        feature,
        feature_role,
        feature_value,
        count(*) as row_count
    from number_rows
    group by model_id, feature, feature_role, feature_value

),

ranked_numbers as (

    select
        *,
        case when feature_value is null then 0 else row_count end as value_count,
        sum(row_count) over (partition by model_id, feature) as all_count,
        sum(case when feature_value is not null then row_count else 0 end) over (partition by model_id, feature) as valued_count,
        coalesce(sum(row_count) over (
            partition by model_id, feature order by feature_value nulls last rows between unbounded preceding and 1 preceding
        ), 0) as smaller_count
    from number_counts

),

-- a decile is the first value at which so many rows are no larger; a value with more than 1 % of the rows is a bin of its own
numbers as (

    select
        *,
        case
            when
                feature_value is not null
                and least(9, floor(10.0 * (smaller_count + value_count) / valued_count)) * valued_count > 10 * smaller_count
                then 1
            else 0
        end as is_decile,
        feature_value is not null and 100 * row_count > all_count as is_point
    from ranked_numbers
    where valued_count > 0

),

placed_numbers as (

    select
        *,
        'q' || cast(
            sum(is_decile) over (partition by model_id, feature order by feature_value nulls last rows unbounded preceding)
            as {{ dbt.type_string() }}
        ) as interval_bin,
        row_number() over (partition by model_id, feature, is_point order by feature_value nulls last) as point_number
    from numbers

),

interval_counts as (

    select
        model_id,
        feature,
        interval_bin,
        sum(row_count) as row_count
    from placed_numbers
    where feature_value is not null and not is_point
    group by model_id, feature, interval_bin

),

-- the first interval is open below, the last above
intervals as (

    select
        model_id,
        feature,
        feature_role,
        'q0' as interval_bin,
        cast(null as {{ type_double() }}) as lower_bound,
        min(feature_value) as upper_bound
    from placed_numbers
    where is_decile = 1
    group by model_id, feature, feature_role
    union all
    select
        model_id,
        feature,
        feature_role,
        interval_bin,
        feature_value as lower_bound,
        lead(feature_value) over (partition by model_id, feature order by feature_value nulls last) as upper_bound
    from placed_numbers
    where is_decile = 1

),

category_counts as (

    select
        model_id,
        feature,
        feature_role,
        feature_value,
        count(*) as row_count,
        {{ entity_count() }} as entity_count
    from category_rows
    group by model_id, feature, feature_role, feature_value

),

ranked_categories as (

    select
        *,
        sum(row_count) over (partition by model_id, feature) as all_count,
        max(feature_value) over (partition by model_id, feature) as last_value,
        row_number() over (partition by model_id, feature order by row_count desc nulls last, feature_value asc nulls last) as category_rank
    from category_counts

),

categories as (

    select * from ranked_categories where last_value is not null

),

bins as (

    select
        intervals.model_id,
        intervals.feature,
        'number' as feature_kind,
        intervals.feature_role,
        intervals.interval_bin as bin,
        intervals.interval_bin as tested_bin,
        cast(null as {{ dbt.type_string() }}) as category,
        coalesce(interval_counts.row_count, 0) as row_count,
        cast(null as bigint) as entity_count,
        intervals.lower_bound,
        intervals.upper_bound
    from intervals
    left join interval_counts
        on intervals.model_id = interval_counts.model_id
        and intervals.feature = interval_counts.feature
        and intervals.interval_bin = interval_counts.interval_bin
    union all
    select
        model_id,
        feature,
        'number' as feature_kind,
        feature_role,
        case when is_point then 'p' || cast(point_number as {{ dbt.type_string() }}) else 'missing' end as bin,
        case
            when feature_value is null then 'missing'
            when 20 * row_count > all_count then 'p' || cast(point_number as {{ dbt.type_string() }})
            else interval_bin
        end as tested_bin,
        cast(null as {{ dbt.type_string() }}) as category,
        row_count,
        cast(null as bigint) as entity_count,
        feature_value as lower_bound,
        feature_value as upper_bound
    from placed_numbers
    where is_point or feature_value is null
    union all
    select
        model_id,
        feature,
        'category' as feature_kind,
        feature_role,
        case
            when feature_value is null then 'missing'
            when 100 * row_count < all_count then 'rare'
            else 'c' || cast(category_rank as {{ dbt.type_string() }})
        end as bin,
        cast(null as {{ dbt.type_string() }}) as tested_bin,
        feature_value as category,
        row_count,
        entity_count,
        cast(null as {{ type_double() }}) as lower_bound,
        cast(null as {{ type_double() }}) as upper_bound
    from categories

),

edges as (

    select
        model_id,
        feature,
        feature_kind,
        feature_role,
        bin,
        coalesce(tested_bin, bin) as tested_bin,
        category,
        cast(row_count as bigint) as reference_row_count,
        cast(entity_count as bigint) as reference_entity_count,
        lower_bound,
        upper_bound
    from bins

)

select * from edges
