-- One row per final money outcome and model it is credited to, or one without a model: its amount, and the model's part of it.
{%- set rule = setting('credit_rule') %}
with outcomes as (

    select * from {{ ref('fct_outcomes') }}
    where is_final and outcome_kind = 'money' and outcome_amount is not null

),

evidence as (

    select * from {{ ref('int_model_evidence') }}

),

graded as (

    select
        outcomes.*,
        coalesce(evidence.grade, 'C') as evidence_grade,
        min(coalesce(evidence.grade, 'C')) over (partition by outcomes.outcome_id) as best_grade,
        count(*) over (partition by outcomes.outcome_id) as model_count
    from outcomes
    left join evidence on outcomes.model_id = evidence.model_id

),

shared as (

    select
        *,
        {% if rule == 'last' -%}
        is_primary_credit
        {%- elif rule == 'even' -%}
        true
        {%- else -%}
        evidence_grade = best_grade
        {%- endif %} as takes_part
    from graded

),

placed as (

    select
        *,
        sum(case when takes_part then 1 else 0 end) over (partition by outcome_id) as taker_count,
        row_number() over (
            partition by outcome_id, takes_part
            order by model_id desc nulls last
        ) as place_from_last
    from shared

),

parted as (

    select
        *,
        -- whole cents; what they leave goes to the last id
        sign(outcome_amount) * floor(abs(outcome_amount) * 100 / taker_count + 1e-6) / 100 as even_amount
    from placed

),

outcome_credits as (

    select
        outcome_id,
        model_id,
        model_version,
        evidence_grade,
        outcome_amount as credited_amount,
        case
            when not takes_part then 0
            when place_from_last = 1 then outcome_amount - (taker_count - 1) * even_amount
            else even_amount
        end as credited_once_amount,
        model_count,
        model_count > 1 as is_shared,
        outcome_date
    from parted

)

select * from outcome_credits
