-- Rows are models whose months do not sum to the value, the decisions and the cost of the facts on complete days.
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where decision_date < {{ as_of_date() }}

),

costs as (

    select * from {{ ref('fct_costs') }}
    where cost_date < {{ as_of_date() }}

),

ledger as (

    select * from {{ ref('mart_value_ledger') }}

),

amounts as (

    select
        model_id,
        decision_count,
        value_amount,
        0 as cost_amount,
        0 as ledger_decision_count,
        0 as ledger_value_amount,
        0 as ledger_cost_amount
    from decisions
    union all
    select
        model_id,
        0 as decision_count,
        0 as value_amount,
        cost_amount,
        0 as ledger_decision_count,
        0 as ledger_value_amount,
        0 as ledger_cost_amount
    from costs
    union all
    select
        model_id,
        0 as decision_count,
        0 as value_amount,
        0 as cost_amount,
        decision_count as ledger_decision_count,
        coalesce(matured_value_amount, 0) as ledger_value_amount,
        coalesce(compute_cost_amount, 0) + coalesce(tokens_cost_amount, 0) + coalesce(storage_cost_amount, 0)
        + coalesce(labelling_cost_amount, 0) + coalesce(human_review_cost_amount, 0) + coalesce(support_cost_amount, 0)
        + coalesce(licence_cost_amount, 0) + coalesce(training_cost_amount, 0) as ledger_cost_amount
    from ledger

),

totals as (

    select
        model_id,
        sum(decision_count) as decision_count,
        coalesce(sum(value_amount), 0) as value_amount,
        sum(cost_amount) as cost_amount,
        sum(ledger_decision_count) as ledger_decision_count,
        sum(ledger_value_amount) as ledger_value_amount,
        sum(ledger_cost_amount) as ledger_cost_amount
    from amounts
    group by model_id

)

select * from totals
where
    abs(decision_count - ledger_decision_count) > 1e-9 * (1 + decision_count)
    or abs(value_amount - ledger_value_amount) > 1e-9 * (1 + abs(value_amount))
    or abs(cost_amount - ledger_cost_amount) > 1e-9 * (1 + abs(cost_amount))
