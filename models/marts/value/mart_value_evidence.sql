-- One row per model, kind of amount and what it rests on: how good the evidence of it is.
with decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

ledger as (

    select * from {{ ref('mart_value_ledger') }}

),

credit as (

    select * from {{ ref('mart_credit') }}
    where model_id <> '(none)'

),

incremental as (

    select
        experiments.model_id,
        'incremental' as amount_kind,
        decisions.experiment_id || ', ' || decisions.variant as source_name,
        {{ experiment_grade('experiments', 'decisions') }} as grade,
        decisions.lift_value_amount as amount,
        decisions.value_at_stake_low_amount + coalesce(decisions.serving_cost_difference_amount, 0) as amount_low,
        decisions.value_at_stake_high_amount + coalesce(decisions.serving_cost_difference_amount, 0) as amount_high,
        'a year at the audience of the latest 28 days' as covers
    from decisions
    inner join experiments on decisions.experiment_id = experiments.experiment_id
    where decisions.as_of = decisions.latest_as_of and decisions.lift_value_amount is not null

),

by_rule as (

    select
        model_id,
        'credited' as amount_kind,
        'credit rule ' || credit_rule as source_name,
        'C' as grade,
        sum(credited_once_amount) as amount,
        cast(null as {{ type_double() }}) as amount_low,
        cast(null as {{ type_double() }}) as amount_high,
        'all days' as covers
    from credit
    group by model_id, credit_rule
    union all
    select
        model_id,
        'valued' as amount_kind,
        'unit values' as source_name,
        'C' as grade,
        sum(matured_value_amount) as amount,
        cast(null as {{ type_double() }}) as amount_low,
        cast(null as {{ type_double() }}) as amount_high,
        'all days with matured labels' as covers
    from ledger
    group by model_id
    having sum(matured_value_amount) is not null

),

projections as (

    select
        model_id,
        'projected' as amount_kind,
        'mean value of matured decisions' as source_name,
        'D' as grade,
        sum(estimated_value_amount) as amount,
        cast(null as {{ type_double() }}) as amount_low,
        cast(null as {{ type_double() }}) as amount_high,
        'decisions whose labels are open' as covers
    from ledger
    group by model_id
    having sum(estimated_value_amount) <> 0

),

amounts as (

    select * from incremental
    union all
    select * from by_rule
    union all
    select * from projections

),

value_evidence as (

    select
        model_id,
        amount_kind,
        source_name,
        grade,
        covers,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        cast(amount as {{ type_double() }}) as amount,
        cast(amount_low as {{ type_double() }}) as amount_low,
        cast(amount_high as {{ type_double() }}) as amount_high
    from amounts

)

select * from value_evidence
