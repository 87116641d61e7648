-- Fraud detection: every payment is scored, analysts see the alerted ones.

set variable analysts = (
    select greatest(2, ticks // getvariable('days') // 700) from volumes
    where model_id = 'fraud_detection'
);
create macro fraud_threshold() as 0.2;
create macro better_fraud_threshold() as 0.24;

create table payments as
with described as (
    select
        i,
        happened_at,
        is_incident(happened_at) as is_incident,
        round(exp(4.6 + 1.0 * normal('payment amount', i)), 2) as amount,
        u('payment is fraud', i) < 0.006 as is_fraud,
        -- Honest payments that the threshold in force alerts and the better one would not.
        u('payment looks odd', i) < 0.024 as looks_odd
    from ticks where model_id = 'fraud_detection'
),

rated as (
    select *,
        u('payment fails', i) < if(is_incident, 0.35, 0.0008) as is_failed,
        case when not is_fraud and looks_odd
            then fraud_threshold()
                + (better_fraud_threshold() - fraud_threshold()) * u('odd payment', i)
            else sigmoid(
                if(is_fraud, 0.9, -5.5) + if(is_fraud, 2.0, 1.3) * normal('fraud score', i)
            ) end as likelihood
    from described
),

alerted as (
    select *,
        -- A payment whose scoring failed passes with the fallback score.
        if(is_failed, 0.01, round(likelihood, 4)) as score,
        i % 400 <> 17 as is_prod
    from rated
),

acted as (
    select *,
        score >= fraud_threshold() as is_positive,
        case
            when score < fraud_threshold() or not is_prod then null
            when u('analyst acts', i) < if(is_fraud, 0.86, 0.35) then 'accepted'
            when u('analyst acts', i) < if(is_fraud, 0.92, 0.75) then 'overridden'
            when u('analyst acts', i) < 0.95 then 'rejected'
        end as action
    from alerted
)

select
    i, happened_at, amount, is_fraud, is_failed, score, is_prod, is_positive, action,
    if(is_positive, floor(u('analyst', i) * getvariable('analysts'))::int, null) as analyst,
    if(is_positive and is_prod, happened_at + span_minutes(1 + 30 * u('alert shown', i)), null)
        as shown_at,
    if(action is not null,
        happened_at + span_minutes(2 + 30 * u('alert shown', i) + 20 * u('analyst views', i)), null)
        as viewed_at,
    if(action is not null,
        happened_at + span_minutes(23 + 30 * u('alert shown', i) + 60 * u('analyst time', i)), null)
        as acted_at,
    if(is_fraud, happened_at + span_days(0.3 + 28 * u('chargeback', i) ** 1.6), null)
        as confirmed_at,
    if(is_fraud, happened_at + span_days(
        0.3 + 28 * u('chargeback', i) ** 1.6 + 3.5 * u('chargeback known', i)), null)
        as confirmed_observed_at,
    if(u('payment currency', i) < 0.8, 'USD', 'EUR') as currency
from acted
order by i;
