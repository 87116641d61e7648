-- One row per experiment, day and segment value of which nothing is shown.
{%- set cell = 'experiment_id, as_of, segment_name' %}
with estimates as (

    select * from {{ ref('fct_lift_estimates') }}
    where segment_name <> 'all'

),

splits as (

    select * from {{ ref('fct_lift_splits') }}
    where segment_name <> 'all'

),

decisions as (

    select * from {{ ref('fct_lift_decisions') }}

),

-- variants that were not planned show no segment at all
planned as (

    select
        estimates.*,
        coalesce(estimates.cluster_count_control, estimates.unit_count_control) as control_count,
        coalesce(estimates.cluster_count_treatment, estimates.unit_count_treatment) as treatment_count
    from estimates
    inner join decisions
        on estimates.experiment_id = decisions.experiment_id
        and estimates.variant = decisions.variant
        and estimates.as_of = decisions.as_of

),

-- the row units of each arm, by metric: one may have fewer than another
arms as (

    select
        {{ cell }},
        segment_value,
        metric || ' of ' || variant as arm,
        treatment_count as row_count
    from planned
    union all
    select
        {{ cell }},
        segment_value,
        metric || ' of control ' || control_variant as arm,
        control_count as row_count
    from planned

),

segments as (

    select
        {{ cell }},
        count(distinct case when row_count > 0 then arm end) as arm_count
    from arms
    group by {{ cell }}

),

values_of_arms as (

    select
        {{ cell }},
        segment_value,
        min(nullif(row_count, 0)) as smallest_count,
        count(distinct case when row_count > 0 then arm end) as arm_count
    from arms
    group by {{ cell }}, segment_value

),

sizes as (

    select
        splits.experiment_id,
        splits.as_of,
        splits.segment_name,
        splits.segment_value,
        least(values_of_arms.smallest_count, nullif(splits.smallest_count, 0)) as smallest_count,
        -- a day that was written before it was counted is not known to be large
        coalesce(least(values_of_arms.smallest_count, nullif(splits.smallest_count, 0)) < {{ setting('minimum_cell') }}, false)
        or splits.smallest_count is null as is_small,
        coalesce(values_of_arms.arm_count, 0) = coalesce(segments.arm_count, 0) and coalesce(splits.has_every_variant, false) as is_full
    from splits
    left join segments
        on splits.experiment_id = segments.experiment_id
        and splits.as_of = segments.as_of
        and splits.segment_name = segments.segment_name
    left join values_of_arms
        on splits.experiment_id = values_of_arms.experiment_id
        and splits.as_of = values_of_arms.as_of
        and splits.segment_name = values_of_arms.segment_name
        and splits.segment_value = values_of_arms.segment_value

),

-- what is hidden holds, in each arm, two values that are not empty and minimum_cell row units; the smallest of the large ones see to that
ranked as (

    select
        *,
        sum(case when is_small then 1 else 0 end) over (partition by {{ cell }}) as small_count,
        sum(case when is_small and is_full then 1 else 0 end) over (partition by {{ cell }}) as full_small_count,
        coalesce(sum(case when is_small and is_full then smallest_count end) over (partition by {{ cell }}), 0) as hidden_count,
        row_number() over (
            partition by {{ cell }}, is_small, is_full
            order by smallest_count nulls last, segment_value nulls last
        ) as size_rank
    from sizes

),

private_segments as (

    select
        {{ cell }},
        segment_value
    from ranked
    where
        is_small
        -- once one is hidden, what is empty in an arm looks hidden too
        or (small_count > 0 and not is_full)
        or (
            small_count > 0
            and is_full
            and size_rank <= greatest(2 - full_small_count, case when hidden_count < {{ setting('minimum_cell') }} then 1 else 0 end)
        )

)

select * from private_segments
