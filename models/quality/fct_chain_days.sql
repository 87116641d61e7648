-- One row per model, day and number of features that decisions were logged with: how far they came on the way to value.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set steps = chain_links()[1:] %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

-- each step counts those alone that came through the one before
reached as (

    select
        decisions.model_id,
        coalesce(decisions.feature_count, 0) as feature_count,
        decisions.sampling_weight,
        case
            when
                decisions.error_count > 0
                or (decisions.score is null and decisions.predicted_label is null and decisions.predicted_value is null) then 0
            when decisions.shown_count = 0 then 1
            when decisions.user_action not in ('accepted', 'edited') then 2
            when
                case
                    when models.task = 'regression' then decisions.measured_count
                    when models.task = 'multiclass' and models.positive_label is null then decisions.judged_count
                    else decisions.actual_positive_count
                end = 0 then 3
            when coalesce(case when models.has_unit_values then decisions.value_amount else decisions.credited_amount end, 0) <= 0 then 4
            else 5
        end as step,
        decisions.decision_date
    from decisions
    inner join models on decisions.model_id = models.model_id

),

chain_days as (

    select
        model_id,
        feature_count,
        count(*) as row_count,
        cast(sum(sampling_weight) as {{ type_double() }}) as decision_count,
        cast(sum(sampling_weight * sampling_weight) as {{ type_double() }}) as decision_squares,
        {%- for name in steps %}
        count(case when step >= {{ loop.index }} then 1 end) as {{ name }}_rows,
        cast(sum(case when step >= {{ loop.index }} then sampling_weight else 0 end) as {{ type_double() }}) as {{ name }}_count,
        cast(sum(case when step >= {{ loop.index }} then sampling_weight * sampling_weight else 0 end) as {{ type_double() }})
            as {{ name }}_squares,
        {%- endfor %}
        decision_date
    from reached
    group by model_id, feature_count, decision_date

)

select * from chain_days
