-- One row per outcome and model it is credited to; an outcome credited to none has one row without a model.
-- depends_on: {{ ref('int_touched_keys') }}
with outcomes as (

    select * from {{ ref('stg_business_outcomes') }} where {{ touched('occurred_at', 'outcome_id') }}

),

links as (

    select * from {{ ref('int_outcome_links') }} where {{ touched('outcome_date', 'outcome_id') }}

),

predictions as (

    select * from {{ ref('stg_prediction_logs') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

kinds as (

    select * from {{ ref('cfg_outcome_kinds') }}

),

credits as (

    select * from links where is_credited

),

named as (

    select
        outcomes.*,
        {{ outcome_kind('kinds.kind', 'outcomes.outcome_name') }} as outcome_kind
    from outcomes
    left join kinds on outcomes.outcome_name = kinds.outcome_name

),

credited as (

    select
        named.*,
        credits.model_id,
        credits.prediction_id as credited_prediction_id,
        credits.predicted_at as credited_at,
        coalesce(named.status, 'final') = 'final' as is_final,
        case
            when named.outcome_kind not in ('review_hours', 'quantity')
                then {{ in_reporting_currency('named.outcome_value', 'named.currency', 'rates.rate') }}
        end as outcome_amount,
        row_number() over (
            partition by named.outcome_id
            order by
                case when named.outcome_name = models.amount_outcome then 1 else 2 end,
                credits.predicted_at desc nulls last,
                credits.model_id desc nulls last
        ) = 1 as is_primary_credit
    from named
    left join credits on named.outcome_id = credits.outcome_id
    left join models on credits.model_id = models.model_id
    left join rates
        on named.currency = rates.currency
        and {{ valid_at('rates', 'named.occurred_at') }}

),

credited_outcomes as (

    select
        credited.outcome_id,
        credited.model_id,
        predictions.model_version,
        credited.credited_prediction_id,
        credited.entity_id,
        credited.user_id,
        {%- for column in setting('segments') %}
        predictions.{{ column }},
        {%- endfor %}
        credited.outcome_name,
        credited.outcome_kind,
        -- other words than yes and no stay as they are, and the door names them
        case
            when credited.outcome_kind not in {{ yes_or_no_kinds() }} then credited.outcome_label
            when {{ says_positive('credited.outcome_label', "'true'") }} then 'true'
            when not {{ says_positive('credited.outcome_label', "'true'") }} then 'false'
            else credited.outcome_label
        end as outcome_label,
        coalesce(credited.status, 'final') as status,
        credited.outcome_value,
        credited.outcome_amount,
        case when credited.outcome_kind in ('review_hours', 'quantity') and credited.is_final then credited.outcome_value else 0 end
            as quantity,
        case when credited.is_final then 1 else 0 end as outcome_count,
        case when credited.is_final then credited.outcome_amount else 0 end as credited_amount,
        case when credited.is_final and credited.is_primary_credit then credited.outcome_amount else 0 end as booked_amount,
        credited.is_final,
        credited.is_primary_credit,
        cast(credited.occurred_at as date) as outcome_date,
        credited.occurred_at,
        credited.observed_at
    from credited
    left join predictions
        on credited.credited_prediction_id = predictions.prediction_id
        -- the same moment in both, by which a scan can skip the rest
        and credited.credited_at = predictions.predicted_at

)

select * from credited_outcomes
