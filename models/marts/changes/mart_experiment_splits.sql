-- One row per experiment, segment value and day: how its units divide over variants.
with splits as (

    select * from {{ ref('fct_lift_splits') }}

),

experiments as (

    select * from {{ ref('experiments') }}

),

compared as (

    select
        splits.experiment_id,
        splits.as_of,
        splits.segment_name,
        splits.segment_value,
        splits.row_count,
        splits.variant_counts,
        splits.p_value,
        splits.multi_share,
        splits.has_mismatch,
        experiments.expected_split
    from splits
    left join experiments on splits.experiment_id = experiments.experiment_id

)

select * from compared
