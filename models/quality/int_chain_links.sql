-- One row per model, complete week and link from a decision to its value: its volume, and whether it holds as in the reference weeks.
{%- set links = chain_links() %}
{%- set steps = ['decision'] + links[1:] %}
with chain_days as (

    select * from {{ ref('fct_chain_days') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

reference_days as (

    select
        model_id,
        min(reference_date) as reference_start_date,
        max(reference_date) as reference_end_date
    from {{ ref('int_reference_days') }}
    group by model_id

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

weeks as (

    select
        week_start_date,
        max(date_day) as week_end_date
    from dates
    group by week_start_date
    having count(*) = 7

),

-- as many features as most decisions of the reference were logged with
feature_counts as (

    select
        chain_days.model_id,
        chain_days.feature_count,
        row_number() over (
            partition by chain_days.model_id
            order by sum(chain_days.decision_count) desc nulls last, chain_days.feature_count desc nulls last
        ) as place
    from chain_days
    inner join reference_days
        on chain_days.model_id = reference_days.model_id
        and chain_days.decision_date >= reference_days.reference_start_date
        and chain_days.decision_date <= reference_days.reference_end_date
    group by chain_days.model_id, chain_days.feature_count

),

deliveries as (

    select
        spans.model_id,
        spans.judged_through,
        {%- for source in ['prediction_logs', 'usage_events', 'business_outcomes'] %}
        max(case when watermarks.source_name = '{{ source }}' then watermarks.known_from end) as {{ source }}_from,
        max(case when watermarks.source_name = '{{ source }}' then watermarks.known_through end) as {{ source }}_through,
        {%- endfor %}
        models.has_unit_values or models.amount_outcome is not null as has_value
    from spans
    inner join models on spans.model_id = models.model_id
    left join watermarks on spans.model_id = watermarks.model_id
    group by spans.model_id, spans.judged_through, models.has_unit_values, models.amount_outcome

),

-- from here on a decision with too few features is none that was predicted
model_weeks as (

    select
        spans.model_id,
        weeks.week_start_date,
        weeks.week_end_date,
        coalesce(
            weeks.week_start_date >= reference_days.reference_start_date and weeks.week_end_date <= reference_days.reference_end_date, false
        ) as is_reference,
        coalesce(max(feature_counts.feature_count), 0) > 0 as has_features,
        {%- for name in ['row', 'decision'] %}
        coalesce(sum(chain_days.{{ name }}_count), 0) as all_{{ name }}_count,
        {%- endfor %}
        coalesce(sum(chain_days.decision_squares), 0) as all_decision_squares,
        {%- for name in steps %}
        {%- for kind in ['rows', 'count', 'squares'] %}
        coalesce(sum(
            case
                when coalesce(feature_counts.feature_count, 0) <= chain_days.feature_count
                    then chain_days.{{ 'row_count' if name == 'decision' and kind == 'rows' else name ~ '_' ~ kind }}
            end
        ), 0) as {{ name }}_{{ kind }},
        {%- endfor %}
        {%- endfor %}
        spans.judged_through
    from spans
    inner join weeks on spans.first_decision_date <= weeks.week_start_date
    left join reference_days on spans.model_id = reference_days.model_id
    left join feature_counts
        on spans.model_id = feature_counts.model_id
        and feature_counts.place = 1
    left join chain_days
        on spans.model_id = chain_days.model_id
        and weeks.week_start_date <= chain_days.decision_date
        and weeks.week_end_date >= chain_days.decision_date
    group by
        spans.model_id, weeks.week_start_date, weeks.week_end_date, spans.judged_through,
        reference_days.reference_start_date, reference_days.reference_end_date

),

links as (

    {% for link in links -%}
    select
        model_weeks.model_id,
        model_weeks.week_start_date,
        model_weeks.week_end_date,
        '{{ link }}' as link,
        {{ loop.index }} as link_number,
        '{{ 'decision' if loop.first else links[loop.index0 - 1] }}' as from_link,
        {%- set before = 'all_decision' if loop.first else steps[loop.index0 - 1] %}
        {%- set here = 'decision' if loop.first else link %}
        model_weeks.{{ 'all_row_count' if loop.first else before ~ '_rows' }} as from_rows,
        model_weeks.{{ before }}_count as from_volume,
        model_weeks.{{ before }}_squares as from_squares,
        model_weeks.{{ here }}_count as volume,
        case
            {%- if loop.first %}
            when not model_weeks.has_features then 'no_features'
            {%- elif loop.last %}
            when not deliveries.has_value then 'cell_not_valued'
            {%- endif %}
            {%- for source in (['prediction_logs'] if loop.index <= 2 else ['prediction_logs', 'usage_events']) %}
            when
                deliveries.{{ source }}_through is null or model_weeks.week_end_date > deliveries.{{ source }}_through
                or model_weeks.week_start_date < deliveries.{{ source }}_from then {{ not_delivered(source) }}
            {%- endfor %}
            {%- if link in ['outcome', 'value'] %}
            when
                deliveries.business_outcomes_through is null
                or model_weeks.week_start_date < deliveries.business_outcomes_from then {{ not_delivered('business_outcomes') }}
            when deliveries.judged_through is null or model_weeks.week_end_date > deliveries.judged_through then 'labels_not_matured'
            {%- endif %}
        end as not_known_reason,
        model_weeks.is_reference
    from model_weeks
    inner join deliveries on model_weeks.model_id = deliveries.model_id
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

converted as (

    select
        *,
        {{ safe_ratio('volume', 'from_volume') }} as conversion,
        -- Kish's number of decisions: what as many equal weights would tell
        {{ safe_ratio('from_volume * from_volume', 'from_squares') }} as effective_units
    from links

),

reference_sums as (

    select
        model_id,
        link_number,
        count(*) as reference_weeks,
        sum(volume) as volume,
        sum(from_volume) as from_volume,
        sum(effective_units) as effective_units,
        -- half a decision on either side, so that a link that never failed has some noise
        (sum(volume) + 0.5) / (sum(from_volume) + 1) as smooth_conversion
    from converted
    where is_reference and not_known_reason is null and from_volume > 0
    group by model_id, link_number

),

dispersions as (

    select
        reference_sums.model_id,
        reference_sums.link_number,
        greatest(
            1,
            sum(
                converted.effective_units
                * (converted.conversion - reference_sums.smooth_conversion) * (converted.conversion - reference_sums.smooth_conversion)
            ) / (reference_sums.smooth_conversion * (1 - reference_sums.smooth_conversion) * nullif(reference_sums.reference_weeks - 1, 0))
        ) as overdispersion
    from reference_sums
    inner join converted
        on reference_sums.model_id = converted.model_id
        and reference_sums.link_number = converted.link_number
    where converted.is_reference and converted.not_known_reason is null and converted.from_volume > 0
    group by
        reference_sums.model_id, reference_sums.link_number, reference_sums.smooth_conversion, reference_sums.reference_weeks

),

compared as (

    select
        converted.*,
        {{ safe_ratio('reference_sums.volume', 'reference_sums.from_volume') }} as reference_conversion,
        reference_sums.reference_weeks,
        converted.effective_units * reference_sums.smooth_conversion as expected_count,
        dispersions.overdispersion,
        (converted.conversion - reference_sums.smooth_conversion) / sqrt(
            dispersions.overdispersion * reference_sums.smooth_conversion * (1 - reference_sums.smooth_conversion)
            * (1 / converted.effective_units + 1 / reference_sums.effective_units)
        ) as z_score
    from converted
    left join reference_sums
        on converted.model_id = reference_sums.model_id
        and converted.link_number = reference_sums.link_number
    left join dispersions
        on converted.model_id = dispersions.model_id
        and converted.link_number = dispersions.link_number

),

reasoned as (

    select
        *,
        case
            when not_known_reason is not null then not_known_reason
            when coalesce(reference_weeks, 0) < 2 then 'no_reference'
            when coalesce(expected_count, 0) < 200 then 'too_few_units'
        end as reason
    from compared

),

chain_links as (

    select
        model_id,
        link,
        from_link,
        case
            when is_reference and not_known_reason is null then 'reference'
            when reason is not null then 'unknown'
            when conversion < 0.75 * reference_conversion and z_score < -4 then 'broken'
            else 'holds'
        end as status,
        case when not is_reference or not_known_reason is not null then reason end as reason,
        link_number,
        case when not_known_reason is null then from_rows end as from_rows,
        case when not_known_reason is null then from_volume end as from_volume,
        case when not_known_reason is null then volume end as volume,
        case when not_known_reason is null then conversion end as conversion,
        reference_conversion,
        case when not_known_reason is null then expected_count end as expected_count,
        overdispersion,
        case when reason is null then z_score end as z_score,
        week_start_date,
        week_end_date
    from reasoned

)

select * from chain_links
