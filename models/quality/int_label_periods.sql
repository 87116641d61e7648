-- One row per model, version, segment, segment value and period: how many of its decisions have their label.
{%- set sums = ['matured_count', 'pending_count', 'unlabelled_count', 'late_label_count'] %}
with score_bins as (

    select * from {{ ref('fct_score_bins') }}
    where decision_date < {{ as_of_date() }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

{{ spread_ctes('score_bins', 'decision_date', [], sums) }},

{{ period_ctes(['model_id', 'model_version', 'segment_name', 'segment_value'], sums) }},

label_periods as (

    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        period,
        {{ sums | join(',\n        ') }},
        period_end_date
    from periods

)

select * from label_periods
