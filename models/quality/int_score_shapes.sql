-- One row per governed number of scores, model, version, segment, segment value and period.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value', 'period', 'period_end_date'] | join(',\n        ') %}
with score_periods as (

    select * from {{ ref('int_score_periods') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

probabilities as (

    select score_periods.*
    from score_periods
    inner join models on score_periods.model_id = models.model_id
    where models.score_is_probability

),

shapes as (

    select
        'roc_auc' as metric,
        {{ cell }},
        roc_auc as value,
        roc_auc_low as value_low,
        roc_auc_high as value_high,
        reason
    from score_periods
    union all
    select
        'calibration_error' as metric,
        {{ cell }},
        calibration_error as value,
        cast(null as {{ type_double() }}) as value_low,
        cast(null as {{ type_double() }}) as value_high,
        cast(null as {{ dbt.type_string() }}) as reason
    from probabilities

)

select * from shapes
