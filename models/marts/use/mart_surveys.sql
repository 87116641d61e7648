-- One row per model, segment, segment value, survey type and period: who answered, and what.
{%- set metrics = {
    'nps': 'nps', 'csat': 'csat', 'ces': 'customer_effort', 'relevance': 'relevance', 'trust': 'trust', 'collaboration': 'collaboration'
} %}
{%- set cell = ['model_id', 'segment_name', 'segment_value', 'period', 'period_end_date'] %}
with survey_periods as (

    select * from {{ ref('int_survey_periods') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where
        model_version = 'all'
        and metric in (
            {%- for metric in metrics.values() %}
            '{{ metric }}',
            {%- endfor %}
            'response_rate'
        )

),

scores as (

    select
        *,
        case metric
            {%- for survey, metric in metrics.items() %}
            when '{{ metric }}' then '{{ survey }}'
            {%- endfor %}
        end as survey_type
    from metric_values

),

-- all questions of a cell are shown, or none
gated as (

    select
        survey_periods.*,
        coalesce(rates.reason in ('private', 'partial_window') and survey_periods.segment_name <> 'all', true) as is_hidden,
        case
            when rates.metric is null then 'not_read'
            when rates.reason in ('private', 'partial_window') then rates.reason
            when survey_periods.asked_count = 0 then 'no_data'
            when survey_periods.asked_count < {{ setting('minimum_cell') }} then 'too_few_units'
        end as response_reason,
        case
            when survey_periods.survey_type = 'improvement' then 'no_score'
            when scores.metric is null then 'not_read'
            else scores.reason
        end as reason,
        scores.value,
        scores.value_low,
        scores.value_high,
        {{ safe_ratio('survey_periods.answered_count', 'survey_periods.asked_count') }} as response_rate,
        {{ safe_ratio('survey_periods.scale_share_sum', 'survey_periods.scaled_count') }} as mean_scale_share,
        cast(survey_periods.asked_count as {{ type_double() }}) as units,
        cast(survey_periods.scaled_count as {{ type_double() }}) as answers
    from survey_periods
    left join scores as rates
        on survey_periods.model_id = rates.model_id
        {%- for name in cell[1:] %}
        and survey_periods.{{ name }} = rates.{{ name }}
        {%- endfor %}
        and rates.metric = 'response_rate'
    left join scores
        on survey_periods.model_id = scores.model_id
        {%- for name in cell[1:] %}
        and survey_periods.{{ name }} = scores.{{ name }}
        {%- endfor %}
        and survey_periods.survey_type = scores.survey_type

),

spread_out as (

    select
        *,
        not is_hidden and answers >= 2 and answers >= {{ setting('minimum_cell') }} as has_mean,
        case
            when answers >= 2
                then sqrt(greatest(scale_share_square_sum - scale_share_sum * scale_share_sum / answers, 0) / (answers - 1) / answers)
        end as standard_error,
        nullif(answers - 1, 0) as freedom
    from gated

),

surveys as (

    select
        model_id,
        segment_name,
        segment_value,
        survey_type,
        period,
        response_reason,
        reason,
        {%- for name in ['asked_count', 'answered_count', 'scaled_count'] %}
        cast(case when not is_hidden then {{ name }} end as bigint) as {{ name }},
        {%- endfor %}
        case when response_reason is null then response_rate end as response_rate,
        case when response_reason is null then {{ wilson_bound('response_rate', 'units', '-') }} end as response_rate_low,
        case when response_reason is null then {{ wilson_bound('response_rate', 'units', '+') }} end as response_rate_high,
        value,
        value_low,
        value_high,
        case when has_mean then mean_scale_share end as mean_scale_share,
        case when has_mean then mean_scale_share - {{ t_quantile('freedom') }} * standard_error end as mean_scale_share_low,
        case when has_mean then mean_scale_share + {{ t_quantile('freedom') }} * standard_error end as mean_scale_share_high,
        case when response_reason is null then response_rate < {{ setting('minimum_response_rate') }} end as is_answered_by_few,
        period_start_date,
        period_end_date
    from spread_out

)

select * from surveys
