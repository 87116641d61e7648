-- One row per model, version, segment, segment value and period whose judged scores are few enough to be put in order one by one.
{%- set segments = setting('segments') %}
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value'] %}
{%- set period_cell = cell + ['period', 'period_end_date'] %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where label_state = 'matured' and score is not null and score <> cast('NaN' as {{ type_double() }})

),

score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where not is_missing and decision_date < {{ as_of_date() }} and positive_count + negative_count > 0

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{{ spread_ctes('score_bins', 'decision_date', [], ['positive_row_count', 'negative_row_count']) }},

{{ period_ctes(cell, ['positive_row_count', 'negative_row_count']) }},

-- months and all days, and of the rolling periods the newest whose labels are known
few_scores as (

    select
        {%- for name in cell %}
        periods.{{ name }},
        {%- endfor %}
        periods.period,
        periods.period_start_date,
        periods.period_end_date
    from periods
    inner join spans on periods.model_id = spans.model_id
    where
        periods.positive_row_count + periods.negative_row_count between 1 and {{ setting('exact_row_cap') }}
        and (periods.period in ('month', 'all') or (periods.period in ('7d', '28d') and periods.period_end_date = spans.judged_through))

),

-- what has no such period need not be spread
segments as (

    select
        model_id,
        segment_name,
        model_version <> 'all' as is_version,
        min(period_start_date) as first_date,
        max(period_end_date) as last_date
    from few_scores
    group by model_id, segment_name, model_version <> 'all'

),

spread_scores as (

    select
        decisions.model_id,
        case when segments.is_version then coalesce(decisions.model_version, '(none)') else 'all' end as model_version,
        segments.segment_name,
        coalesce(
            {{ segment_value('segments', 'decisions', segments) }},
            '(unknown)'
        ) as segment_value,
        decisions.score,
        decisions.actual_positive_count as positive_weight,
        decisions.matured_count - decisions.actual_positive_count as negative_weight,
        decisions.decision_date
    from decisions
    inner join segments
        on decisions.model_id = segments.model_id
        and decisions.decision_date >= segments.first_date
        and decisions.decision_date <= segments.last_date

),

ordered as (

    select
        {%- for name in cell %}
        few_scores.{{ name }},
        {%- endfor %}
        few_scores.period,
        few_scores.period_end_date,
        spread_scores.score as place,
        true as is_tied,
        sum(spread_scores.positive_weight) as positive_count,
        sum(spread_scores.negative_weight) as negative_count,
        sum(spread_scores.positive_weight * spread_scores.positive_weight) as positive_weight_squares,
        sum(spread_scores.negative_weight * spread_scores.negative_weight) as negative_weight_squares,
        count(case when spread_scores.positive_weight > 0 then 1 end) as positive_row_count,
        count(case when spread_scores.negative_weight > 0 then 1 end) as negative_row_count
    from spread_scores
    inner join few_scores
        on spread_scores.model_id = few_scores.model_id
        {%- for name in cell[1:] %}
        and spread_scores.{{ name }} = few_scores.{{ name }}
        {%- endfor %}
        and spread_scores.decision_date >= few_scores.period_start_date
        and spread_scores.decision_date <= few_scores.period_end_date
    group by
        {%- for name in period_cell %}
        few_scores.{{ name }},
        {%- endfor %}
        spread_scores.score

),

{{ score_shape_ctes('ordered', period_cell) }}

select * from ordered_shapes
