-- One row per experiment, segment value and day: how its units divide over variants.
with splits as (

    select * from {{ ref('fct_lift_splits') }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

private_segments as (

    select * from {{ ref('int_private_segments') }}

),

compared as (

    select
        splits.experiment_id,
        splits.as_of,
        splits.segment_name,
        splits.segment_value,
        case when private_segments.segment_value is null then splits.row_count end as row_count,
        case when private_segments.segment_value is null then splits.variant_counts end as variant_counts,
        case when private_segments.segment_value is null then splits.p_value end as p_value,
        case when private_segments.segment_value is null then splits.multi_share end as multi_share,
        case when private_segments.segment_value is null then splits.has_mismatch end as has_mismatch,
        private_segments.segment_value is not null as is_private,
        experiments.expected_split
    from splits
    left join experiments on splits.experiment_id = experiments.experiment_id
    left join private_segments
        on splits.experiment_id = private_segments.experiment_id
        and splits.as_of = private_segments.as_of
        and splits.segment_name = private_segments.segment_name
        and splits.segment_value = private_segments.segment_value

)

select * from compared
