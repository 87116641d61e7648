-- One row per model, version, watched feature and week or day with decisions: whether it drifted, by which test, or why none says so.
with periods as (

    select * from {{ ref('int_feature_periods') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }} where source_name = 'prediction_logs'

),

-- what chance alone makes of a distance with so many bins and decisions
sized as (

    select
        *,
        1 / effective_count + 1 / reference_count as noise,
        greatest({{ setting('new_category_maximum') }}, coalesce(seen_once_share, 0)) as allowed_new_share,
        (effective_count * missing_share + reference_count * reference_missing_share) / (effective_count + reference_count)
            as common_missing_share,
        case when bin_count > 1 then {{ chi_square_quantile('(bin_count - 1)') }} end as chi_square_threshold
    from periods

),

limited as (

    select
        *,
        case
            when feature_kind = 'number' and bin_count > 1
                then greatest(chi_square_threshold * noise, (bin_count - 1) * noise + {{ setting('drift_minimum') }})
            when bin_count > 1 then (bin_count - 1) * noise + {{ setting('drift_minimum') }}
        end as psi_threshold,
        -- of either side, hence the quantile of half the rate
        greatest(
            {{ setting('drift_minimum') }},
            3.0233414397391534 * sqrt(common_missing_share * (1 - common_missing_share) * noise)
        ) as missing_change_threshold,
        case
            when feature_kind = 'category'
                then allowed_new_share + 2.8070337683438114 * sqrt(allowed_new_share * (1 - allowed_new_share) * noise)
        end as new_category_threshold
    from sized

),

tested as (

    select
        *,
        coalesce(psi >= psi_threshold and (feature_kind = 'number' or chi_square > chi_square_threshold), false) as is_shifted,
        abs(missing_share - reference_missing_share) > missing_change_threshold as is_missing_changed,
        coalesce(new_category_share > new_category_threshold, false) as has_new_categories
    from limited

),

-- of bins that are all too small nothing is known, unless the reference has but one, from which nothing can move but to what is new
reasoned as (

    select
        tested.*,
        case
            when tested.period_end_date >= {{ as_of_date() }} then 'partial_window'
            when tested.period_end_date > watermarks.known_through then 'prediction_logs_not_delivered'
            when tested.feature_role = 'label' and tested.period_end_date > {{ last_matured_date('models') }} then 'labels_not_matured'
            when tested.feature_role = 'label' and tested.period_end_date > spans.judged_through
                then {{ not_delivered('business_outcomes', 'labels') }}
            when tested.is_in_reference then 'in_reference'
            when least(tested.effective_count, tested.reference_count) < {{ setting('drift_minimum_count') }} then 'too_few_units'
            when
                tested.bin_count < 2
                and tested.reference_bin_count > 1
                and not tested.is_missing_changed
                and not tested.has_new_categories
                then 'too_few_units'
        end as reason
    from tested
    inner join models on tested.model_id = models.model_id
    inner join spans on tested.model_id = spans.model_id
    left join watermarks on tested.model_id = watermarks.model_id

),

verdicts as (

    select
        model_id,
        model_version,
        feature,
        feature_kind,
        feature_role,
        period,
        feature_set_version,
        case
            when reason is not null then 'not_ready'
            when is_shifted or is_missing_changed or has_new_categories then 'drift'
            else 'stable'
        end as status,
        reason,
        case
            when reason is null and (is_shifted or is_missing_changed or has_new_categories)
                then substr(
                    case when not is_shifted then '' when feature_role = 'label' then ', label' else ', psi' end
                    || case when is_missing_changed then ', missing' else '' end
                    || case when has_new_categories then ', new_category' else '' end,
                    3
                )
        end as drift_kind,
        decision_count,
        effective_count,
        reference_count,
        bin_count,
        psi,
        psi_threshold,
        case when feature_kind = 'category' then chi_square end as chi_square,
        case when feature_kind = 'category' then chi_square_threshold end as chi_square_threshold,
        jensen_shannon_distance,
        missing_share,
        missing_share - reference_missing_share as missing_share_change,
        missing_change_threshold,
        new_category_share,
        new_category_threshold,
        reason is null and is_shifted and psi - (bin_count - 1) * noise >= {{ setting('drift_major') }} as is_major,
        period_start_date,
        period_end_date
    from reasoned

)

select * from verdicts
