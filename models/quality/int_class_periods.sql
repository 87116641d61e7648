-- One row per model, version, segment, segment value and period: the mean over classes of their F1 scores.
{%- set keys = ['model_id', 'model_version', 'segment_name', 'segment_value', 'class_name'] %}
{%- set sums = ['predicted_count', 'actual_count', 'correct_count'] %}
{%- set cell = 'model_id, model_version, segment_name, segment_value, period, period_end_date' %}
with class_counts as (

    select * from {{ ref('fct_class_counts') }}
    where decision_date < {{ as_of_date() }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{{ spread_ctes('class_counts', 'decision_date', ['class_name'], sums) }},

{{ period_ctes(keys, sums) }},

-- a class that neither occurs nor is predicted in a period is none of it
class_scores as (

    select
        {{ cell }},
        2 * correct_count / (predicted_count + actual_count) as f1_score
    from periods
    where predicted_count + actual_count > 0

),

class_periods as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        count(*) as class_count,
        avg(f1_score) as macro_f1,
        period_end_date
    from class_scores
    group by {{ cell }}

)

select * from class_periods
