-- One row per computed shape, model, version, segment, segment value and period: its value, or why it has none.
with number_periods as (

    select * from {{ ref('int_number_periods') }}

),

score_shapes as (

    select * from {{ ref('int_score_shapes') }}

),

latency_shapes as (

    select * from {{ ref('int_latency_shapes') }}

),

adoption_shapes as (

    select * from {{ ref('int_adoption_shapes') }}

),

number_shapes as (

    select
        'rmse' as metric,
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        period_end_date,
        rmse as value,
        cast(null as {{ type_double() }}) as value_low,
        cast(null as {{ type_double() }}) as value_high,
        cast(null as {{ dbt.type_string() }}) as reason
    from number_periods

),

row_shapes as (

    select * from number_shapes
    union all
    select * from score_shapes
    union all
    select * from latency_shapes

),

-- rows are counted by the waist; what is no row, a shape counts itself
shape_values as (

    select
        metric,
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        period_end_date,
        value,
        value_low,
        value_high,
        cast(null as bigint) as unit_count,
        reason
    from row_shapes
    union all
    select * from adoption_shapes

)

select * from shape_values
