-- One row per model, version, the version before it and judged period in which both ran: their AUC on the days that they share.
{%- set pair = ['model_id', 'model_version', 'compared_with', 'period', 'period_end_date'] %}
{%- set sums = [
    'positive_count', 'negative_count', 'positive_weight_squares', 'negative_weight_squares', 'positive_row_count', 'negative_row_count'
] %}
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where segment_name = 'all' and not is_missing and positive_count + negative_count > 0

),

version_pairs as (

    select * from {{ ref('int_version_pairs') }}

),

periods as (

    select * from {{ ref('int_judged_periods') }}

),

edges as (

    select * from {{ ref('int_score_edges') }}

),

splits as (

    select * from {{ ref('int_version_splits') }}

),

pair_days as (

    {{ days_of_pairs() }}

),

pair_counts as (

    select
        {{ pair | join(', ') }},
        count(*) as common_days
    from pair_days
    group by {{ pair | join(', ') }}

),

sides as (

    select
        {{ pair | join(', ') }},
        'own' as side,
        model_version as side_version,
        decision_date
    from pair_days
    union all
    select
        {{ pair | join(', ') }},
        'other' as side,
        compared_with as side_version,
        decision_date
    from pair_days

),

side_bins as (

    select
        {%- for name in pair + ['side'] %}
        sides.{{ name }},
        {%- endfor %}
        score_bins.bin_number as place,
        {%- for name in sums %}
        sum(score_bins.{{ name }}) as {{ name }},
        {%- endfor %}
        edges.is_point_mass as is_tied
    from sides
    inner join score_bins
        on sides.model_id = score_bins.model_id
        and sides.side_version = score_bins.model_version
        and sides.decision_date = score_bins.decision_date
    inner join edges
        on score_bins.model_id = edges.model_id
        and score_bins.bin_number = edges.bin_number
    group by
        {%- for name in pair + ['side'] %}
        sides.{{ name }},
        {%- endfor %}
        score_bins.bin_number, edges.is_point_mass

),

{{ score_shape_ctes('side_bins', pair + ['side']) }},

compared as (

    select
        {%- for name in pair %}
        pair_counts.{{ name }},
        {%- endfor %}
        pair_counts.common_days,
        own.positive_row_count + own.negative_row_count as row_count,
        other.positive_row_count + other.negative_row_count as other_row_count,
        own.roc_auc - other.roc_auc as roc_auc_difference,
        {{ quantile_of_one() }} * sqrt(own.roc_auc_error * own.roc_auc_error + other.roc_auc_error * other.roc_auc_error)
        + own.roc_auc_bound + other.roc_auc_bound as half_width,
        case
            when pair_counts.common_days < 7 then 'no_common_days'
            when least(own.positive_row_count, own.negative_row_count) < 20 then 'too_few_units'
            when least(other.positive_row_count, other.negative_row_count) < 20 then 'too_few_units'
            when own.positive_row_count + own.negative_row_count < {{ setting('minimum_cell') }} then 'too_few_units'
            when other.positive_row_count + other.negative_row_count < {{ setting('minimum_cell') }} then 'too_few_units'
            else coalesce(own.reason, other.reason)
        end as reason,
        coalesce(splits.is_randomised, false) as is_randomised
    from pair_counts
    inner join side_bins_shapes as own
        on pair_counts.model_id = own.model_id
        {%- for name in pair[1:] %}
        and pair_counts.{{ name }} = own.{{ name }}
        {%- endfor %}
        and own.side = 'own'
    inner join side_bins_shapes as other
        on pair_counts.model_id = other.model_id
        {%- for name in pair[1:] %}
        and pair_counts.{{ name }} = other.{{ name }}
        {%- endfor %}
        and other.side = 'other'
    left join splits
        on pair_counts.model_id = splits.model_id
        and pair_counts.model_version = splits.model_version
        and pair_counts.compared_with = splits.compared_with

),

version_comparisons as (

    select
        model_id,
        model_version,
        compared_with,
        period,
        common_days,
        row_count,
        other_row_count,
        case when reason is null then roc_auc_difference end as roc_auc_difference,
        case when reason is null then roc_auc_difference - half_width end as roc_auc_difference_low,
        case when reason is null then roc_auc_difference + half_width end as roc_auc_difference_high,
        reason,
        is_randomised,
        period_end_date
    from compared

)

select * from version_comparisons
