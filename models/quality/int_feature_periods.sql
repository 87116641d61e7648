-- One row per model, version, watched feature and week or day with decisions: how far they lie from the reference.
with feature_bins as (

    select * from {{ ref('fct_feature_bins') }}

),

edges as (

    select * from {{ ref('int_feature_edges') }}

),

feature_references as (

    select * from {{ ref('int_feature_references') }}

),

reference_days as (

    select * from {{ ref('int_reference_days') }}

),

entity_periods as (

    select * from {{ ref('int_entity_periods') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

tested_bins as (

    select distinct
        model_id,
        feature,
        bin,
        tested_bin
    from edges

),

-- what the reference never showed is missing or new
tested as (

    select
        feature_bins.model_id,
        feature_bins.model_version,
        feature_bins.feature,
        coalesce(tested_bins.tested_bin, feature_bins.bin) as bin,
        feature_bins.decision_count,
        feature_bins.weight_square_sum,
        feature_bins.decision_date
    from feature_bins
    left join tested_bins
        on feature_bins.model_id = tested_bins.model_id
        and feature_bins.feature = tested_bins.feature
        and feature_bins.bin = tested_bins.bin

),

versioned as (

    select tested.*, 'all' as of_version from tested
    union all
    select tested.*, model_version as of_version from tested

),

-- the score alone is watched by day
period_bins as (

    select
        versioned.model_id,
        versioned.of_version as model_version,
        versioned.feature,
        'week' as period,
        dates.week_start_date as period_start_date,
        versioned.bin,
        sum(versioned.decision_count) as decision_count,
        sum(versioned.weight_square_sum) as weight_square_sum
    from versioned
    inner join dates on versioned.decision_date = dates.date_day
    group by versioned.model_id, versioned.of_version, versioned.feature, dates.week_start_date, versioned.bin
    union all
    select
        model_id,
        of_version as model_version,
        feature,
        'day' as period,
        decision_date as period_start_date,
        bin,
        sum(decision_count) as decision_count,
        sum(weight_square_sum) as weight_square_sum
    from versioned
    where feature = 'score'
    group by model_id, of_version, feature, decision_date, bin

),

reference_bins as (

    select
        tested.model_id,
        tested.feature,
        tested.bin,
        sum(tested.decision_count) as decision_count,
        sum(tested.weight_square_sum) as weight_square_sum
    from tested
    inner join reference_days
        on tested.model_id = reference_days.model_id
        and tested.decision_date = reference_days.reference_date
    group by tested.model_id, tested.feature, tested.bin

),

reference_sizes as (

    select
        reference_bins.model_id,
        reference_bins.feature,
        sum(reference_bins.decision_count) as decision_count,
        least(
            sum(reference_bins.decision_count) * sum(reference_bins.decision_count) / sum(reference_bins.weight_square_sum),
            max(feature_references.entity_count)
        ) as effective_count
    from reference_bins
    inner join feature_references
        on reference_bins.model_id = feature_references.model_id
        and reference_bins.feature = feature_references.feature
    group by reference_bins.model_id, reference_bins.feature

),

-- as many independent entities of equal weight as would tell as much
period_sizes as (

    select
        period_bins.model_id,
        period_bins.model_version,
        period_bins.feature,
        period_bins.period,
        period_bins.period_start_date,
        max(entity_periods.feature_set_version) as feature_set_version,
        sum(period_bins.decision_count) as decision_count,
        least(
            sum(period_bins.decision_count) * sum(period_bins.decision_count) / sum(period_bins.weight_square_sum),
            max(case
                when feature_references.feature_role = 'label' then entity_periods.labelled_entity_count
                else entity_periods.entity_count
            end)
        ) as effective_count
    from period_bins
    inner join feature_references
        on period_bins.model_id = feature_references.model_id
        and period_bins.feature = feature_references.feature
    inner join entity_periods
        on period_bins.model_id = entity_periods.model_id
        and period_bins.model_version = entity_periods.model_version
        and period_bins.period = entity_periods.period
        and period_bins.period_start_date = entity_periods.period_start_date
    group by period_bins.model_id, period_bins.model_version, period_bins.feature, period_bins.period, period_bins.period_start_date

),

known_bins as (

    select model_id, feature, tested_bin as bin from tested_bins
    union
    select model_id, feature, 'missing' as bin from feature_references
    union
    select model_id, feature, 'new' as bin from feature_references where feature_kind = 'category'

),

shares as (

    select
        period_sizes.model_id,
        period_sizes.model_version,
        period_sizes.feature,
        period_sizes.period,
        period_sizes.period_start_date,
        period_sizes.feature_set_version,
        period_sizes.decision_count,
        period_sizes.effective_count,
        reference_sizes.effective_count as reference_count,
        known_bins.bin,
        coalesce(period_bins.decision_count, 0) / period_sizes.decision_count as share,
        coalesce(reference_bins.decision_count, 0) / reference_sizes.decision_count as reference_share
    from period_sizes
    inner join reference_sizes
        on period_sizes.model_id = reference_sizes.model_id
        and period_sizes.feature = reference_sizes.feature
    inner join known_bins
        on period_sizes.model_id = known_bins.model_id
        and period_sizes.feature = known_bins.feature
    left join period_bins
        on period_sizes.model_id = period_bins.model_id
        and period_sizes.model_version = period_bins.model_version
        and period_sizes.feature = period_bins.feature
        and period_sizes.period = period_bins.period
        and period_sizes.period_start_date = period_bins.period_start_date
        and known_bins.bin = period_bins.bin
    left join reference_bins
        on period_sizes.model_id = reference_bins.model_id
        and period_sizes.feature = reference_bins.feature
        and known_bins.bin = reference_bins.bin

),

{{ pooled_bin_ctes('shares', ['model_id', 'model_version', 'feature', 'period', 'period_start_date']) }},

dated as (

    select
        *,
        case
            when period = 'day' then period_start_date
            else cast({{ dbt.dateadd('day', 6, 'period_start_date') }} as date)
        end as period_end_date
    from distances

),

periods as (

    select
        dated.model_id,
        dated.model_version,
        dated.feature,
        feature_references.feature_kind,
        feature_references.feature_role,
        dated.period,
        dated.feature_set_version,
        dated.decision_count,
        dated.effective_count,
        dated.reference_count,
        dated.bin_count,
        dated.reference_bin_count,
        dated.psi,
        dated.chi_square,
        dated.jensen_shannon_distance,
        dated.missing_share,
        dated.reference_missing_share,
        case when feature_references.feature_kind = 'category' then dated.new_category_share end as new_category_share,
        case when feature_references.feature_kind = 'category' then feature_references.seen_once_share end as seen_once_share,
        dated.period_start_date <= feature_references.reference_end_date
        and dated.period_end_date >= feature_references.reference_start_date as is_in_reference,
        dated.period_start_date,
        dated.period_end_date
    from dated
    inner join feature_references
        on dated.model_id = feature_references.model_id
        and dated.feature = feature_references.feature

)

select * from periods
