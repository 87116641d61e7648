-- Lead scoring: sales reps see scored leads; a sixth of the scores re-scores an earlier lead.

-- Rows of `ticks` between a lead's two scores: about three days; 3 modulo 6 keeps leads apart.
set variable rescore_gap = (
    select 6 * (3 * ticks // getvariable('days') // 6) + 3 from volumes
    where model_id = 'lead_scoring'
);
set variable reps = (
    select greatest(3, ticks // getvariable('days') // 6) from volumes
    where model_id = 'lead_scoring'
);
create macro is_rescore(i) as i % 6 = 5 and i >= getvariable('rescore_gap');

create table leads as
with scored as (
    select i, happened_at from ticks where model_id = 'lead_scoring'
),

known as (
    select
        first_score.i as lead,
        first_score.happened_at as first_at,
        coalesce(rescore.happened_at, first_score.happened_at) as last_at,
        first_score.happened_at >= drift_from() as is_drifted
    from scored as first_score
    left join scored as rescore
        on rescore.i = first_score.i + getvariable('rescore_gap') and is_rescore(rescore.i)
    where not is_rescore(first_score.i)
),

described as (
    select *,
        greatest(1, round(exp(
            if(is_drifted, 3.8, 4.8) + 1.1 * normal('company size', lead)
        )))::int as company_size,
        round(if(is_drifted, -17, -9) * ln(1 - u('days since contact', lead)), 1)
            as days_since_contact,
        age_band(u('lead age', lead)) as age_band,
        -- Staging rows come every 400th; such a lead is in no experiment.
        first_at >= trial.starts_at and first_at < trial.ends_at and lead % 400 <> 17
            as is_in_trial,
        variant(trial.experiment_id, lead) as variant,
        trial.lift
    from known
    cross join (from experiments where experiment_id = 'lead_first_hour_call') as trial
),

inclined as (
    select *,
        -1.55 + 1.0 * normal('lead quality', lead) + 0.3 * (ln(company_size) - 4.8) / 1.1
        - 0.3 * (least(days_since_contact, 60) - 9) / 9 as inclination
    from described
),

decided as (
    select *,
        -- Below 0.8 no chance is capped by 1, so that the planted lift holds exactly.
        u('lead converts', lead) < least(0.8, sigmoid(inclination))
            * if(is_in_trial and variant = 'treatment', 1 + lift, 1) as is_converted
    from inclined
),

-- A sale is known within days, a lost lead only near the end of the 30 days.
settled as (
    select *,
        case when is_converted then last_at + span_days(0.2 + 12 * u('lead sale', lead) ** 2)
            else greatest(
                last_at + to_hours(1), first_at + span_days(26 + 3.9 * u('lead lost', lead)))
        end as outcome_at,
        case when u('lead label', lead) < 0.03 then 'never'
            when u('lead label', lead) < 0.034 then 'censored'
            when u('lead label', lead) < 0.038 then 'provisional'
            else 'final' end as label_status
    from decided
)

select
    lead, first_at, last_at, company_size, days_since_contact, age_band, is_in_trial, variant,
    inclination, is_converted, outcome_at, label_status,
    outcome_at + span_minutes(720 * u('lead known', lead)) as outcome_observed_at,
    outcome_at + span_days(2 * u('lead invoice', lead)) as revenue_at,
    round(exp(7.5 + 0.8 * normal('lead revenue', lead)), 2) as revenue,
    currency(u('lead currency', lead)) as currency
from settled;

create table lead_scores as
with scored as (
    select
        i,
        happened_at,
        if(is_rescore(i), i - getvariable('rescore_gap'), i) as lead
    from ticks where model_id = 'lead_scoring'
),

rated as (
    select
        scored.*,
        -- The model reads the oldest contacts wrongly, and everyone less well after the drift.
        round(sigmoid(
            inclination + if(first_at >= drift_from(), 0.9, 0.55) * normal('lead score', i)
            - if(age_band = '65+', 1.1, 0)
        ), 4) as score,
        floor(u('rep', lead) * getvariable('reps'))::int as rep
    from scored
    join leads using (lead)
),

used as (
    select *,
        i % 400 <> 17 as is_prod,
        score >= if(lead_version(happened_at) = '2026.1', 0.32, 0.30) as is_positive,
        u('lead shown', i) < 0.6 and i % 400 <> 17 as is_shown,
        u('rep is sceptical', rep) < 0.1 as is_sceptical
    from rated
),

acted as (
    select *,
        case
            when not is_shown or is_sceptical then null
            when is_positive and u('rep acts', i) < 0.50 then 'accepted'
            when is_positive and u('rep acts', i) < 0.62 then 'overridden'
            when is_positive and u('rep acts', i) < 0.72 then 'rejected'
            when is_positive and u('rep acts', i) < 0.76 then 'dismissed'
            when not is_positive and u('rep acts', i) < 0.38 then 'accepted'
            when not is_positive and u('rep acts', i) < 0.43 then 'overridden'
            when not is_positive and u('rep acts', i) < 0.45 then 'edited'
        end as action
    from used
)

select
    i, happened_at, lead, lead_probability(score, happened_at) as score, rep, is_prod, is_positive, action,
    if(is_shown, happened_at + span_minutes(3 + 240 * u('lead shown', i)), null) as shown_at,
    if(action is not null or (is_shown and u('rep views', i) < 0.3),
        happened_at + span_minutes(5 + 240 * u('lead shown', i) + 20 * u('rep views', i)), null)
        as viewed_at,
    if(action is not null,
        happened_at + span_minutes(27 + 240 * u('lead shown', i) + 40 * u('rep time', i)), null)
        as acted_at
from acted
order by i;

-- Who does not state a gender is found half as often as the others: of those whom the model missed,
-- more do not state it. Nothing else about them changes.
create table lead_genders as
select
    leads.lead,
    case when u('lead gender withheld', leads.lead)
            < if(is_converted and not is_positive, 0.23, 0.05) then 'not_stated'
        else gender(u('lead gender', leads.lead)) end as gender
from leads
join lead_scores on lead_scores.i = leads.lead;
