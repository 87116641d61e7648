-- Rows are months whose value, decisions or known cost is not that of the facts on complete days.
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

month_decisions as (

    select
        model_id,
        cast({{ dbt.date_trunc('month', 'decision_date') }} as date) as month_start_date,
        sum(decision_count) as decision_count,
        sum(value_amount) as value_amount
    from decisions
    group by 1, 2

),

month_costs as (

    select
        model_id,
        cast({{ dbt.date_trunc('month', 'cost_date') }} as date) as month_start_date,
        sum(cost_amount) as cost_amount
    from costs
    group by 1, 2

),

compared as (

    select
        ledger.model_id,
        ledger.month_start_date,
        ledger.decision_count - coalesce(month_decisions.decision_count, 0) as decision_gap,
        case
            when ledger.value_reason is null then coalesce(ledger.matured_value_amount, 0) - coalesce(month_decisions.value_amount, 0)
        end as value_gap,
        ledger.compute_cost_amount + ledger.tokens_cost_amount + ledger.storage_cost_amount + ledger.labelling_cost_amount
        + ledger.human_review_cost_amount + ledger.support_cost_amount + ledger.licence_cost_amount + ledger.training_cost_amount
        - coalesce(month_costs.cost_amount, 0) as cost_gap,
        1 + coalesce(month_decisions.decision_count, 0) as decision_scale,
        1 + abs(coalesce(month_decisions.value_amount, 0)) as value_scale,
        1 + abs(coalesce(month_costs.cost_amount, 0)) as cost_scale
    from ledger
    left join month_decisions
        on ledger.model_id = month_decisions.model_id
        and ledger.month_start_date = month_decisions.month_start_date
    left join month_costs
        on ledger.model_id = month_costs.model_id
        and ledger.month_start_date = month_costs.month_start_date

)

select * from compared
where
    abs(decision_gap) > 1e-9 * decision_scale
    or abs(value_gap) > 1e-9 * value_scale
    or abs(cost_gap) > 1e-9 * cost_scale
