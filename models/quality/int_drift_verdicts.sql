-- One row per model, version, watched feature and week or day with decisions: whether it drifted, by which test, or why none says so.
with periods as (

    select * from {{ ref('int_feature_periods') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

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
            when feature_kind = 'number'
                then greatest(chi_square_threshold * noise, (bin_count - 1) * noise + {{ setting('drift_minimum') }})
            else (bin_count - 1) * noise + {{ setting('drift_minimum') }}
        end as psi_threshold,
        -- of either side, hence the quantile of half the rate
        greatest(
            {{ setting('drift_minimum') }},
            3.0233414397391534 * sqrt(common_missing_share * (1 - common_missing_share) * noise)
        ) as missing_change_threshold,
        case when feature_kind = 'category' then
            allowed_new_share + 2.8070337683438114 * sqrt(allowed_new_share * (1 - allowed_new_share) * noise)
        end as new_category_threshold
    from sized

),

reasoned as (

    select
        limited.*,
        case
            when limited.period_end_date >= {{ as_of_date() }} then 'partial_window'
            when limited.period_end_date > watermarks.known_through then 'prediction_logs_not_delivered'
            when limited.feature_role = 'label' and limited.period_end_date > spans.judged_through then 'labels_not_matured'
            when limited.is_in_reference then 'in_reference'
            when
                limited.bin_count < 2
                or limited.effective_count < {{ setting('drift_minimum_count') }}
                or limited.reference_count < {{ setting('drift_minimum_count') }}
                then 'too_few_units'
        end as reason,
        limited.psi >= limited.psi_threshold
        and (limited.feature_kind = 'number' or limited.chi_square > limited.chi_square_threshold) as is_shifted,
        abs(limited.missing_share - limited.reference_missing_share) > limited.missing_change_threshold as is_missing_changed,
        coalesce(limited.new_category_share > limited.new_category_threshold, false) as has_new_categories
    from limited
    inner join spans on limited.model_id = spans.model_id
    left join watermarks on limited.model_id = watermarks.model_id

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
        case when reason is null and (is_shifted or is_missing_changed or has_new_categories) then
            substr(
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
