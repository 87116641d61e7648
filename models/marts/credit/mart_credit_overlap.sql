-- One row per model and other model that are credited with the same outcomes, over all days.
with outcome_credits as (

    select * from {{ ref('int_outcome_credits') }}
    where model_id is not null and outcome_date < {{ as_of_date() }}

),

totals as (

    select
        model_id,
        sum(credited_amount) as credited_amount
    from outcome_credits
    group by model_id

),

pairs as (

    select
        own.model_id,
        other.model_id as other_model_id,
        count(*) as shared_outcome_count,
        sum(own.credited_amount) as shared_amount
    from outcome_credits as own
    inner join outcome_credits as other
        on own.outcome_id = other.outcome_id
        and own.model_id <> other.model_id
    where own.is_shared
    group by own.model_id, other.model_id

),

credit_overlap as (

    select
        pairs.model_id,
        pairs.other_model_id,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        cast(pairs.shared_outcome_count as bigint) as shared_outcome_count,
        cast(pairs.shared_amount as {{ type_double() }}) as shared_amount,
        {{ safe_ratio('pairs.shared_amount', 'totals.credited_amount') }} as shared_amount_share
    from pairs
    inner join totals on pairs.model_id = totals.model_id

)

select * from credit_overlap
