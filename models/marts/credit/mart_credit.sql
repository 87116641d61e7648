-- One row per model and month with money credited to it, and one for what is credited to none: gross, and once over all models.
{%- set month_end = 'cast(' ~ dbt.last_day('monthly.month_start_date', 'month') ~ ' as date)' %}
with outcome_credits as (

    select * from {{ ref('int_outcome_credits') }}
    where outcome_date < {{ as_of_date() }}

),

evidence as (

    select * from {{ ref('int_model_evidence') }}

),

watermarks as (

    select min(known_through) as known_through
    from {{ ref('int_watermarks') }}
    where source_name in ('business_outcomes', 'money_outcomes')

),

monthly as (

    select
        model_id,
        count(*) as outcome_count,
        sum(case when is_shared then 1 else 0 end) as shared_outcome_count,
        sum(credited_amount) as credited_amount,
        sum(credited_once_amount) as credited_once_amount,
        cast({{ dbt.date_trunc('month', 'outcome_date') }} as date) as month_start_date
    from outcome_credits
    group by model_id, cast({{ dbt.date_trunc('month', 'outcome_date') }} as date)

),

credit as (

    select
        coalesce(monthly.model_id, '(none)') as model_id,
        cast('{{ setting("credit_rule") }}' as {{ dbt.type_string() }}) as credit_rule,
        -- money that follows a decision is no proof that it came from it
        case when monthly.model_id is not null then 'C' end as grade,
        evidence.grade as best_experiment_grade,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        cast(monthly.outcome_count as bigint) as outcome_count,
        cast(monthly.shared_outcome_count as bigint) as shared_outcome_count,
        cast(monthly.credited_amount as {{ type_double() }}) as credited_amount,
        cast(monthly.credited_once_amount as {{ type_double() }}) as credited_once_amount,
        cast(monthly.credited_amount - monthly.credited_once_amount as {{ type_double() }}) as overlap_amount,
        {{ safe_ratio('monthly.credited_once_amount', 'sum(monthly.credited_once_amount) over (partition by monthly.month_start_date)') }}
            as booked_share,
        coalesce({{ month_end }} <= watermarks.known_through, false) as is_complete,
        monthly.month_start_date
    from monthly
    cross join watermarks
    left join evidence on monthly.model_id = evidence.model_id

)

select * from credit
