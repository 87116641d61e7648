-- What the company's systems deliver. A view named `<table>/<file>` becomes a file of that name.
-- `*_rows` hold each row as it finally is, with its first arrival and its fate; first deliveries
-- show it before its correction, `redelivered` files bring the copies that come later.

create view prediction_rows as
select
    'lead_scoring' as model_id, 'ls-' || i as prediction_id,
    lead_version(happened_at) as model_version,
    happened_at as predicted_at, 'lead-' || lead as entity_id, 'rep-' || rep as user_id, score,
    null::varchar as predicted_label, null::double as predicted_value, null::varchar as list_id,
    null::int as rank_position,
    if(lead_version(happened_at) = '2026.1', 0.32, null)::double as decision_threshold,
    null::double as propensity, 'leads-v' || if(lead_version(happened_at) = '2026.1', 5, 4)
        as feature_set_version,
    if(is_prod, 'prod', 'staging') as environment,
    round(38 - 30 * ln(1 - u('lead latency', i)), 1) as latency_ms, 200 as status_code,
    null::varchar as error_type, null::double as sampling_fraction,
    pick(['web', 'phone', 'partner', 'event'], u('lead channel', lead) ** 1.5) as channel,
    device(u('lead device', lead)) as device, region(u('lead region', lead)) as region,
    age_band, gender, company_size,
    if(is_lost(happened_at, i), null, days_since_contact) as days_since_contact,
    pick(if(first_at >= drift_from(),
        ['retail', 'retail', 'retail', 'software', 'healthcare', 'finance'],
        ['software', 'software', 'manufacturing', 'healthcare', 'finance', 'retail']),
        u('lead industry', lead)) as industry,
    null::double as payment_amount, null::varchar as merchant_category,
    null::varchar as offer_category,
    arrival('lead score', i, happened_at) as arrived_at,
    fate('lead score', i, arrival('lead score', i, happened_at)) as fate,
    second_arrival('lead score', i, arrival('lead score', i, happened_at)) as again_at
from lead_scores
join leads using (lead)
join lead_genders using (lead)
union all
select
    'fraud_detection', 'fd-' || i, fraud_version(happened_at), happened_at, 'payment-' || i,
    'analyst-' || analyst, score, if(is_positive, 'true', 'false'), null, null, null, null, null,
    'payments-v9', if(is_prod, null, 'staging'),
    round(if(is_incident(happened_at), 900, 14)
        - if(is_incident(happened_at), 1500, 9) * ln(1 - u('payment latency', i)), 1),
    if(is_failed, 503, 200), if(is_failed, 'upstream_timeout', null), 1.0,
    pick(['web', 'app', 'store', 'phone'], u('payment channel', i) ** 1.5),
    device(u('payment device', i)), region(u('payment region', i)),
    age_band(u('payment age', i)), gender(u('payment gender', i)), null, null, null,
    shifted(amount, happened_at),
    pick(['groceries', 'electronics', 'travel', 'fashion', 'digital_goods'],
        u('payment merchant', i)),
    null,
    arrival('payment', i, happened_at),
    fate('payment', i, arrival('payment', i, happened_at)),
    second_arrival('payment', i, arrival('payment', i, happened_at))
from payments
union all
select
    'next_best_offer', 'nb-' || i, offer_version(happened_at, customer), happened_at,
    'cust-' || customer, 'cust-' || customer, score, null, null, 'list-' || list, rank_position, 0.0,
    if(is_explored, 0.1 / 11, 0.9), 'customers-v' || if(is_bad_release(happened_at), 8, 7),
    if(is_prod, 'prod', 'staging'), round(22 - 12 * ln(1 - u('list latency', list)), 1), 200,
    null, null, pick(['web', 'app', 'store', 'phone'], u('list channel', list) ** 2),
    device(u('list device', list)), region(u('customer region', customer)),
    age_band(u('customer age', customer)), gender(u('customer gender', customer)),
    null, null, null, null, null,
    if(is_bad_release(happened_at) and u('offer is new', i) < 0.2, 'subscription',
        pick(['bundle', 'discount', 'loyalty_points', 'new_arrival', 'free_delivery', 'upgrade'],
            u('offer category', i))),
    arrival('list', list, happened_at),
    fate('offer', i, arrival('list', list, happened_at)),
    second_arrival('offer', i, arrival('list', list, happened_at))
from offers
union all
select
    'demand_forecast', 'df-' || i, forecast_version(happened_at), happened_at,
    'article-' || article, 'planner-' || planner, null, null, forecast, null, null, null, null,
    'sales-v' || if(is_biased_release(happened_at), 3, 2), if(is_prod, 'prod', 'staging'),
    round(120 - 60 * ln(1 - u('forecast latency', i)), 1), 200, null, null, null, null,
    region(u('article region', article)), null, null, null, null, null, null, null, null,
    arrival('forecast', i, happened_at),
    fate('forecast', i, arrival('forecast', i, happened_at)),
    second_arrival('forecast', i, arrival('forecast', i, happened_at))
from forecasts;

create view prediction_first as
select * exclude (arrived_at, fate, again_at) replace (
        if(fate = 'corrected', round(score + if(score > 0.5, -0.1, 0.1), 4), score) as score,
        if(fate = 'corrected', 10 * predicted_value, predicted_value) as predicted_value,
        if(fate = 'moved', predicted_at - to_hours(26), predicted_at) as predicted_at
    ),
    arrived_at as loaded_at
from prediction_rows
where is_delivered(arrived_at);

create view "prediction_logs/lead_scoring" as
from prediction_first where model_id = 'lead_scoring';
create view "prediction_logs/fraud_detection" as
from prediction_first where model_id = 'fraud_detection';
create view "prediction_logs/next_best_offer" as
from prediction_first where model_id = 'next_best_offer';
create view "prediction_logs/demand_forecast" as
from prediction_first where model_id = 'demand_forecast';
create view "prediction_logs/redelivered" as
select * exclude (arrived_at, fate, again_at), again_at as loaded_at
from prediction_rows
where fate is not null
union all by name
select * exclude (kind) from malformed_prediction_logs;

-- Usage: one row per decision somebody saw, then one per thing done with it.
create view seen_decisions as
select
    'lead_scoring' as model_id, 4 * i as decision, 'ls-' || i as prediction_id,
    'lead-' || lead as entity_id, 'rep-' || rep as user_id, 'crm' as surface,
    'visit-' || rep || '-' || epoch(happened_at)::bigint // 3600 as session_id,
    device(u('rep device', rep)) as device,
    shown_at, viewed_at, acted_at, action,
    if(action = 'accepted' and u('lead done', i) < 0.3, acted_at + to_minutes(75), null)
        as completed_at,
    if(is_positive, 'false', 'true') as other_decision
from lead_scores where shown_at is not null
union all
select
    'fraud_detection', 4 * i + 1, 'fd-' || i, 'payment-' || i, 'analyst-' || analyst, 'case_queue',
    'visit-' || analyst || '-' || epoch(happened_at)::bigint // 3600, 'desktop',
    shown_at, viewed_at, acted_at, action, null, 'false'
from payments where shown_at is not null
union all
select
    'next_best_offer', 4 * i + 2, 'nb-' || i, 'cust-' || customer, 'cust-' || customer, 'shop',
    'visit-list-' || list, device(u('list device', list)),
    shown_at, viewed_at, acted_at, action, null, 'other'
from offers where shown_at is not null
union all
select
    'demand_forecast', 4 * i + 3, 'df-' || i, 'article-' || article, 'planner-' || planner,
    'order_plan', 'visit-' || planner || '-' || epoch(happened_at)::bigint // 3600, 'desktop',
    shown_at, viewed_at, acted_at, action,
    if(action in ('accepted', 'edited') and u('plan done', i) < 0.5,
        acted_at + to_minutes(45), null),
    planned_units::varchar
from forecasts where shown_at is not null;

create view usage_rows as
with events as (
    select *, 'exposed' as event_name, shown_at as occurred_at, true as is_passive
    from seen_decisions
    union all
    select *, 'viewed', viewed_at, null from seen_decisions where viewed_at is not null
    union all
    select *, action, acted_at, null from seen_decisions where acted_at is not null
    union all
    select *, 'task_completed', completed_at, null
    from seen_decisions where completed_at is not null
),

arrived as (
    -- All events of one decision travel together; each has a fate of its own.
    select *,
        hash(decision, event_name) as event_number,
        arrival('usage', decision, occurred_at) as arrived_at
    from events
)

select
    prediction_id || '-' || event_name as event_id, event_name, occurred_at, user_id, model_id,
    prediction_id, entity_id, session_id, surface, device,
    if(event_name = 'overridden' or (event_name = 'edited' and model_id = 'demand_forecast'),
        other_decision, null) as final_decision,
    if(event_name = 'overridden', pick(
        ['knows the customer', 'newer information', 'score not plausible'],
        u('override reason', decision)), null) as override_reason,
    is_passive,
    if(event_name = 'viewed', round(2000 + 40000 * u('viewing time', decision)), null)
        as duration_ms,
    arrived_at,
    fate('usage', event_number, arrived_at) as fate,
    second_arrival('usage', event_number, arrived_at) as again_at
from arrived;

create view usage_first as
select * exclude (arrived_at, fate, again_at) replace (
        if(fate = 'corrected' and event_name = 'accepted', 'rejected', event_name) as event_name,
        if(fate = 'corrected', 'unknown', surface) as surface,
        if(fate = 'moved', occurred_at - to_hours(24), occurred_at) as occurred_at
    ),
    arrived_at as loaded_at
from usage_rows
where is_delivered(arrived_at);

create view "usage_events/lead_scoring" as from usage_first where model_id = 'lead_scoring';
create view "usage_events/fraud_detection" as from usage_first where model_id = 'fraud_detection';
create view "usage_events/next_best_offer" as from usage_first where model_id = 'next_best_offer';
create view "usage_events/demand_forecast" as from usage_first where model_id = 'demand_forecast';
create view "usage_events/redelivered" as
select * exclude (arrived_at, fate, again_at), again_at as loaded_at
from usage_rows
where fate is not null
union all by name
select * exclude (kind) from malformed_usage_events;

-- An opportunity is opened for most leads that will buy and for some that will not.
create view opportunities as
select lead, last_at + to_hours(1) as opened_at
from leads
where u('opportunity', lead) < if(is_converted, 0.9, 0.15);

-- One to three months after the first offer it is known whether a customer stayed.
create view churn_checks as
select customer, min(happened_at) + to_days(30 + (60 * u('churn day', customer))::int) as checked_at
from offers
group by customer;

-- Outcomes: a retraction is a later copy with status reversed.
create view outcome_rows as
with happened as (
    select
        'converted-' || lead as outcome_id, 'converted' as outcome_name,
        null::varchar as prediction_id, 'lead-' || lead as entity_id, null::varchar as user_id,
        if(is_converted, 'true', 'false') as outcome_label, null::double as outcome_value,
        null::varchar as currency, outcome_at as occurred_at,
        outcome_observed_at as observed_at, label_status as status,
        arrival('converted', lead, outcome_observed_at) as arrived_at,
        fate('converted', lead, arrival('converted', lead, outcome_observed_at)) as fate,
        is_converted and label_status = 'final'
            and is_retracted('converted', lead, arrival('converted', lead, outcome_observed_at))
            as is_retracted,
        second_arrival('converted', lead, arrival('converted', lead, outcome_observed_at))
            as again_at
    from leads where label_status <> 'never'
    union all
    select
        'revenue-' || lead, 'revenue', null, 'lead-' || lead, null, null, revenue, currency,
        revenue_at, revenue_at + to_hours(1), 'final',
        arrival('revenue', lead, revenue_at + to_hours(1)),
        fate('revenue', lead, arrival('revenue', lead, revenue_at + to_hours(1))),
        is_retracted('revenue', lead, arrival('revenue', lead, revenue_at + to_hours(1))),
        second_arrival('revenue', lead, arrival('revenue', lead, revenue_at + to_hours(1)))
    from leads where is_converted and label_status = 'final'
    union all
    select
        'fraud-' || i, 'fraud_confirmed', 'fd-' || i, 'payment-' || i, null, 'true', amount,
        currency, confirmed_at, confirmed_observed_at, null,
        arrival('fraud', i, confirmed_observed_at),
        fate('fraud', i, arrival('fraud', i, confirmed_observed_at)),
        is_retracted('fraud', i, arrival('fraud', i, confirmed_observed_at)),
        second_arrival('fraud', i, arrival('fraud', i, confirmed_observed_at))
    from payments where is_fraud
    union all
    select
        'redeemed-' || i, 'offer_accepted', 'nb-' || i, 'cust-' || customer, 'cust-' || customer,
        'true', null, null, redeemed_at, redeemed_observed_at, null,
        arrival('redeemed', i, redeemed_observed_at),
        fate('redeemed', i, arrival('redeemed', i, redeemed_observed_at)),
        is_retracted('redeemed', i, arrival('redeemed', i, redeemed_observed_at)),
        second_arrival('redeemed', i, arrival('redeemed', i, redeemed_observed_at))
    from offers where redeemed_at is not null
    union all
    select
        'order-' || order_number, 'revenue', null, null, 'cust-' || customer, null, amount, currency,
        happened_at, observed_at, null,
        arrival('order', order_number, observed_at),
        fate('order', order_number, arrival('order', order_number, observed_at)),
        is_retracted('order', order_number, arrival('order', order_number, observed_at)),
        second_arrival('order', order_number, arrival('order', order_number, observed_at))
    from orders
    union all
    select
        'opportunity-' || lead, 'opportunity', null, 'lead-' || lead, null, null,
        round(2000 + 8000 * u('opportunity amount', lead), 2), 'USD', opened_at, opened_at, null,
        arrival('opportunity', lead, opened_at),
        fate('opportunity', lead, arrival('opportunity', lead, opened_at)),
        is_retracted('opportunity', lead, arrival('opportunity', lead, opened_at)),
        second_arrival('opportunity', lead, arrival('opportunity', lead, opened_at))
    from opportunities
    union all
    select
        'churn-' || customer, 'churned', null, null, 'cust-' || customer,
        if(u('churned', customer) < 0.06, 'true', 'false'), null, null,
        checked_at, checked_at + to_hours(6), null,
        arrival('churn', customer, checked_at + to_hours(6)),
        fate('churn', customer, arrival('churn', customer, checked_at + to_hours(6))),
        is_retracted('churn', customer, arrival('churn', customer, checked_at + to_hours(6))),
        second_arrival('churn', customer, arrival('churn', customer, checked_at + to_hours(6)))
    from churn_checks
    union all
    select
        'units-' || i, 'units_sold', 'df-' || i, 'article-' || article, null, null, units, null,
        sold_at, sold_observed_at, null,
        arrival('units', i, sold_observed_at),
        fate('units', i, arrival('units', i, sold_observed_at)),
        is_retracted('units', i, arrival('units', i, sold_observed_at)),
        second_arrival('units', i, arrival('units', i, sold_observed_at))
    from forecasts where sold_at is not null
)

select * from happened
where is_delivered(arrived_at);

create view "business_outcomes/outcomes" as
select * exclude (arrived_at, fate, again_at, is_retracted) replace (
        if(fate = 'corrected' and outcome_name = 'converted',
            if(outcome_label = 'true', 'false', 'true'), outcome_label) as outcome_label,
        if(fate = 'corrected', outcome_value * 10, outcome_value) as outcome_value,
        if(fate = 'corrected', occurred_at, observed_at) as observed_at,
        if(fate = 'moved', occurred_at - to_days(2), occurred_at) as occurred_at
    ),
    arrived_at as loaded_at
from outcome_rows;
create view "business_outcomes/redelivered" as
select * exclude (arrived_at, fate, again_at, is_retracted) replace (
        if(is_retracted, 'reversed', status) as status
    ),
    again_at as loaded_at
from outcome_rows
where fate is not null or is_retracted
union all by name
select * exclude (kind) from malformed_business_outcomes;

-- Who may use the models: all reps, analysts and planners, and every 20th customer (the loyalty club).
create view eligible_rows as
with people as (
    select 'rep-' || i as user_id, 'lead_scoring' as model_id, 4 * i as person,
        pick(['north', 'south', 'enterprise'], u('rep team', i)) as team, 'sales_rep' as role
    from range(getvariable('reps')) as reps(i)
    union all
    select 'analyst-' || i, 'fraud_detection', 4 * i + 1,
        pick(['day_shift', 'night_shift'], u('analyst team', i)), 'fraud_analyst'
    from range(getvariable('analysts')) as analysts(i)
    union all
    select 'cust-' || i, 'next_best_offer', 4 * i + 2, 'loyalty_club', 'customer'
    from range(0, getvariable('customers'), 20) as customers(i)
    union all
    select 'planner-' || i, 'demand_forecast', 4 * i + 3,
        pick(['fresh', 'dry_goods'], u('planner team', i)), 'demand_planner'
    from range(getvariable('planners')) as planners(i)
),

stays as (
    select *,
        case when u('person', person) < 0.15
            then getvariable('first_day')
                + to_days(floor(0.6 * getvariable('days') * u('person joins', person))::int)
            else getvariable('first_day') end as eligible_from,
        case when u('person', person) > 0.93
            then getvariable('first_day') + to_days((0.4 * getvariable('days'))::int)
            end as eligible_to
    from people
    union all
    -- After a gap these people come back.
    select *, getvariable('first_day') + to_days((0.6 * getvariable('days'))::int), null
    from people where u('person', person) > 0.96
),

arrived as (
    select *,
        2 * person + (eligible_from > getvariable('first_day'))::int as stay,
        arrival('stay', 2 * person, eligible_from) as arrived_at
    from stays
)

select * exclude (person, stay),
    fate('stay', stay, arrived_at) as fate,
    second_arrival('stay', stay, arrived_at) as again_at
from arrived;

create view "eligible_users/eligible_users" as
select * exclude (arrived_at, fate, again_at) replace (
        if(fate in ('corrected', 'moved'), 'unassigned', team) as team
    ),
    arrived_at as loaded_at
from eligible_rows
union all
select * exclude (arrived_at, fate, again_at), again_at
from eligible_rows where fate is not null
union all by name
select * exclude (kind) from malformed_eligible_users;

-- Assignments: two in a thousand units were put into both variants.
create view assignment_rows as
with assigned as (
    select
        experiment_id, 'cust-' || customer as unit_id, variant,
        exposed_at - to_seconds(2) as assigned_at,
        exposed_at as first_exposed_at,
        round(100 * exp(0.35 * normal('customer taste', customer))) as covariate,
        2 * hash(experiment_id, customer)::hugeint % 1000000007 as unit
    from offer_units
    union all
    select
        'lead_first_hour_call', 'lead-' || lead, variant, first_at, null, null, 2 * lead
    from leads where is_in_trial
),

doubled as (
    select * from assigned
    union all
    select * replace (
            if(variant = 'control', 'treatment', 'control') as variant,
            assigned_at + to_hours(20) as assigned_at,
            first_exposed_at + to_hours(20) as first_exposed_at,
            unit + 1 as unit
        )
    from assigned where u(experiment_id || ' doubled', unit) < 0.002
),

arrived as (
    select *, arrival('assignment', unit, assigned_at) as arrived_at
    from doubled
)

select
    experiment_id, unit_id, variant, assigned_at, first_exposed_at, null::varchar as cluster_id,
    covariate, arrived_at,
    fate('assignment', unit, arrived_at) as fate,
    second_arrival('assignment', unit, arrived_at) as again_at
from arrived;

create view "experiment_assignments/assignments" as
select * exclude (arrived_at, fate, again_at) replace (
        if(fate = 'corrected', coalesce(covariate * 10, 1), covariate) as covariate,
        if(fate = 'moved', assigned_at - to_hours(24), assigned_at) as assigned_at
    ),
    arrived_at as loaded_at
from assignment_rows where is_delivered(arrived_at)
union all
select * exclude (arrived_at, fate, again_at), again_at
from assignment_rows where fate is not null
union all by name
select * exclude (kind) from malformed_experiment_assignments;

-- Surveys: satisfaction falls with the bad release, trust with the incident. Beside a few long ones,
-- people are asked a question or two at work, and now and then what should be improved; numbers of
-- their own keep the chance of each apart. A release answers a wish, which then is rarely repeated.
create view feedback_rows as
with survey_kinds(first_i, questions, survey_types) as (
    values
    (
        0, greatest(30, least(30000, getvariable('predictions') // 150)),
        ['csat', 'nps', 'trust', 'relevance', 'ces']
    ),
    (1000000, least(60000, getvariable('predictions') // 12), ['csat', 'nps', 'relevance']),
    (2000000, greatest(40, least(20000, getvariable('predictions') // 40)), ['improvement']),
    (3000000, greatest(20, least(10000, getvariable('predictions') // 200)), ['collaboration'])
),

wishes(model_id, is_met, comments) as (
    values
    ('lead_scoring', false, ['The scores are outdated by noon', 'Fresher scores, please',
        'Tell me why a lead is hot', 'It is slow in the morning', 'Show the phone number first']),
    ('lead_scoring', true, ['Tell me why a lead is hot', 'Why this lead?', 'Slow on Mondays',
        'Show the phone number first', 'Sometimes still outdated', 'No wish']),
    ('fraud_detection', false, ['Explain the alert', 'Give the reasons with the score',
        'Too slow at noon', 'Fewer alerts on weekends', 'A faster queue, please']),
    ('next_best_offer', false, ['Offers that fit my taste', 'Not for me', 'Why do I see this?',
        'Cheaper things', 'Nothing here is my taste']),
    ('next_best_offer', true, ['Why do I see this?', 'Cheaper things', 'More of these',
        'Not for me', 'Free delivery']),
    ('demand_forecast', false, ['Explain why it rose', 'Promotions are outdated',
        'It is slow on Fridays', 'Show last year beside it'])
),

numbers as (
    select *, first_i + unnest(range(questions)) as i from survey_kinds
),

asked as (
    select
        i,
        getvariable('first_day')
            + span_days(getvariable('days') * (i - first_i + u('asked', i)) / questions)
            as asked_at,
        pick(if(first_i = 0,
            ['lead_scoring', 'fraud_detection', 'demand_forecast', 'next_best_offer',
                'next_best_offer'],
            ['lead_scoring', 'fraud_detection', 'demand_forecast', 'next_best_offer']),
            u('survey model', i)) as model_id,
        pick(survey_types, u('survey', i)) as survey_type
    from numbers
),

scaled as (
    select *,
        if(survey_type = 'nps', 0.0, 1.0) as scale_min,
        case survey_type when 'nps' then 10.0 when 'ces' then 7.0 else 5.0 end as scale_max,
        least(1, greatest(0, 0.72 + 0.2 * normal('survey mood', i)
            - if(model_id = 'next_best_offer' and is_bad_release(asked_at), 0.35, 0)
            - if(model_id = 'fraud_detection' and asked_at >= incident_from()
                and asked_at < incident_from() + to_days(4), 0.25, 0))) as mood,
        if(u('survey answered', i) < 0.45, asked_at + span_days(3 * u('survey time', i) ** 2), null)
            as answered_at
    from asked
),

answered as (
    -- An answer that had not come by `as_of` is still open.
    select *,
        if(answered_at < getvariable('as_of') - to_hours(6), answered_at, null) as responded_at
    from scaled
),

arrived as (
    select *, arrival('answer', i, coalesce(responded_at, asked_at)) as arrived_at
    from answered
)

select
    'answer-' || i as response_id, survey_type, asked_at, responded_at,
    case when responded_at is null or survey_type = 'improvement' then null
        else scale_min + round(mood * (scale_max - scale_min)) end as score,
    case when survey_type <> 'improvement' then scale_min end as scale_min,
    case when survey_type <> 'improvement' then scale_max end as scale_max,
    case when survey_type = 'improvement' then
        if(responded_at is null, null, pick(comments, u('wish', i)))
        when responded_at is null or u('survey comment', i) > 0.3 then null
        when mood < 0.4 then pick(['Suggestions, lately, miss the point',
            'Says "sure" and is wrong', 'Slow today'], u('comment', i))
        else pick(['Saves me time', 'Good, mostly', 'I look here first'], u('comment', i)) end
        as comment,
    arrived.model_id, null::varchar as prediction_id,
    case arrived.model_id when 'lead_scoring'
        then 'rep-' || floor(u('asked user', i) * getvariable('reps'))::int
    when 'fraud_detection'
        then 'analyst-' || floor(u('asked user', i) * getvariable('analysts'))::int
    when 'demand_forecast'
        then 'planner-' || floor(u('asked user', i) * getvariable('planners'))::int
    else 'cust-' || floor(u('asked user', i) * getvariable('customers'))::int end as user_id,
    arrived_at,
    fate('answer', i, arrived_at) as fate,
    second_arrival('answer', i, arrived_at) as again_at
from arrived
left join wishes
    on arrived.model_id = wishes.model_id
    and wishes.is_met = case arrived.model_id
        when 'lead_scoring' then asked_at >= timestamp '2026-04-27 08:00:00'
        when 'next_best_offer' then asked_at >= timestamp '2026-06-16 09:00:00'
        else false end;

create view "feedback/feedback" as
with delivered as (
    select * exclude (arrived_at, fate, again_at) replace (
            if(fate = 'corrected', if(score = scale_max, scale_min, scale_max), score) as score,
            if(fate = 'moved', asked_at - to_hours(24), asked_at) as asked_at
        ),
        arrived_at as loaded_at
    from feedback_rows where is_delivered(arrived_at)
    union all
    select * exclude (arrived_at, fate, again_at), again_at
    from feedback_rows where fate is not null
)

select * replace (
    csv_time(asked_at) as asked_at, csv_time(responded_at) as responded_at,
    csv_time(loaded_at) as loaded_at)
from delivered
union all by name
select * exclude (kind) from malformed_feedback
order by loaded_at, response_id;

create view release_rows as
select
    'release-' || row_number() over () as release_id, *
from (values
    ('lead_scoring', '2025.4', 'deployed', timestamp '2025-11-10 08:00:00',
        timestamp '2025-11-10', 'schedule', 'yearly retraining', 'recall up', 'leads-v4',
        'Head of Sales Operations', false),
    ('lead_scoring', '2026.1', 'concept', timestamp '2026-02-02 10:00:00', null,
        'manual', 'reps ask for fresher scores', 'conversion up', 'leads-v5', null, false),
    ('lead_scoring', '2026.1', 'validation', timestamp '2026-04-13 15:00:00',
        timestamp '2026-04-10', 'manual', 'holdout of March', 'recall up 3 points', 'leads-v5',
        'Head of Sales Operations', false),
    ('lead_scoring', '2026.1', 'deployed', timestamp '2026-04-27 08:00:00', timestamp '2026-04-20',
        'manual', 'fresher features', 'recall up 3 points', 'leads-v5',
        'Head of Sales Operations', false),
    ('fraud_detection', '4.1', 'deployed', timestamp '2025-12-01 06:00:00', timestamp '2025-12-01',
        'drift', 'new card schemes', 'recall up', 'payments-v9', 'Payments Risk Board', false),
    ('fraud_detection', '4.2', 'deploy_failed', timestamp '2026-05-02 06:00:00',
        timestamp '2026-05-02', 'schedule', 'health check failed', 'precision up', 'payments-v9',
        null, true),
    ('fraud_detection', '4.2', 'deployed', timestamp '2026-05-04 06:00:00',
        timestamp '2026-05-02', 'schedule', 'monthly retraining', 'precision up', 'payments-v9',
        'Payments Risk Board', true),
    ('next_best_offer', '7.2', 'deployed', timestamp '2026-01-19 09:00:00', timestamp '2026-01-19',
        'schedule', 'quarterly retraining', 'acceptance up', 'customers-v7', 'Head of Online Shop',
        true),
    ('next_best_offer', '8.0', 'approved', timestamp '2026-05-18 16:00:00', timestamp '2026-05-18',
        'manual', 'new taste features', 'acceptance up 5 %', 'customers-v8',
        'Head of Online Shop', false),
    ('next_best_offer', '8.0', 'deployed', bad_release_from(), timestamp '2026-05-19', 'manual',
        'new taste features', 'acceptance up 5 %', 'customers-v8', 'Head of Online Shop', false),
    ('next_best_offer', '8.0', 'rolled_back', bad_release_to(), null, 'manual',
        'acceptance fell by half, feature join was empty', null, 'customers-v8',
        'Head of Online Shop', false),
    ('next_best_offer', '8.1', 'deployed', timestamp '2026-06-16 09:00:00', timestamp '2026-06-15',
        'manual', 'feature join repaired', 'acceptance back to normal', 'customers-v7',
        'Head of Online Shop', false),
    ('demand_forecast', '3.0', 'deployed', timestamp '2026-02-09 05:00:00', timestamp '2026-02-09',
        'schedule', 'half-yearly retraining', 'error down', 'sales-v2', 'Head of Supply Chain',
        true),
    ('demand_forecast', '3.1', 'validation', timestamp '2026-05-20 14:00:00',
        timestamp '2026-05-20', 'manual', 'spread on April', 'error down 10 %', 'sales-v3',
        'Head of Supply Chain', false),
    ('demand_forecast', '3.1', 'deployed', biased_release_from(), timestamp '2026-05-26', 'manual',
        'trained with the weeks of the sale', 'error down 10 %', 'sales-v3',
        'Head of Supply Chain', false),
    -- The stages of releases that are not deployed yet, or never were, and those before a deployment.
    ('lead_scoring', '2026.1', 'prototype', timestamp '2026-03-02 09:00:00', null, 'manual',
        'scores by the hour on a copy', 'recall up 3 points', 'leads-v5', null, false),
    ('lead_scoring', '2026.1', 'approved', timestamp '2026-04-17 11:00:00',
        timestamp '2026-04-15', 'manual', 'sales operations signed', 'recall up 3 points',
        'leads-v5', 'Head of Sales Operations', false),
    ('lead_scoring', '2026.2', 'concept', timestamp '2026-06-08 10:00:00', null, 'manual',
        'scores are surer than they may be', 'calibration error halved', 'leads-v5', null, false),
    ('fraud_detection', '5.0', 'concept', timestamp '2026-04-06 09:00:00', null, 'manual',
        'shared devices give rings away', 'recall up 5 points', 'payments-v10', null, false),
    ('fraud_detection', '5.0', 'prototype', timestamp '2026-05-18 09:00:00', null, 'manual',
        'graph of devices', 'recall up 5 points', 'payments-v10', null, false),
    ('next_best_offer', '8.0', 'concept', timestamp '2026-03-10 09:00:00', null, 'manual',
        'customers say that offers miss their taste', 'acceptance up 5 %', 'customers-v8', null,
        false),
    ('next_best_offer', '9.0', 'concept', timestamp '2026-04-20 09:00:00', null, 'manual',
        'offers by the weather', 'acceptance up 3 %', null, null, false),
    ('next_best_offer', '9.0', 'retired', timestamp '2026-06-05 09:00:00', null, 'manual',
        'the weather told nothing that the season had not', null, null, 'Shop Personalisation',
        false)
) as releases(
    model_id, model_version, event_type, event_at, planned_at, trigger, reason, expected_effect,
    feature_set_version, approver, is_automated
);

create view "model_releases/releases" as
with delivered as (
    select *, event_at + to_minutes(5) as loaded_at from release_rows
    union all
    -- The pipeline reported the rollback twice.
    select *, event_at + to_minutes(65) from release_rows where event_type = 'rolled_back'
)

select * replace (
    csv_time(event_at) as event_at, csv_time(planned_at) as planned_at,
    csv_time(loaded_at) as loaded_at)
from delivered
union all by name
select * exclude (kind) from malformed_model_releases;

-- Costs are billed by the week; the bill of the last week comes after `as_of`.
create view cost_rows as
with weeks as (
    select week, getvariable('first_day') + to_days(7 * week::int) as period_start,
        least(getvariable('first_day') + to_days(7 * week::int + 7), getvariable('as_of'))
            as period_end
    from range((getvariable('days') + 6) // 7) as weeks(week)
),

prices(number, model_id, cost_type, fixed, per_prediction, currency, unit) as (
    values
    (0, 'lead_scoring', 'compute', 120.0, 0.0004, 'USD', 'node_hour'),
    (1, 'lead_scoring', 'licence', 310.0, 0.0, 'EUR', 'seat'),
    (2, 'lead_scoring', 'labelling', 0.0, 0.002, 'USD', 'label'),
    (3, 'fraud_detection', 'compute', 110.0, 0.0003, 'USD', 'node_hour'),
    (4, 'fraud_detection', 'human_review', 120.0, 0.01, 'EUR', 'hour'),
    (5, 'fraud_detection', 'storage', 35.0, 0.00002, 'USD', 'gigabyte'),
    (6, 'next_best_offer', 'compute', 150.0, 0.0005, 'USD', 'node_hour'),
    (7, 'next_best_offer', 'tokens', 0.0, 0.0011, 'USD', 'thousand_tokens'),
    (8, 'next_best_offer', 'support', 90.0, 0.0, 'GBP', 'hour'),
    (9, 'demand_forecast', 'compute', 70.0, 0.0002, 'USD', 'node_hour'),
    (10, 'demand_forecast', 'licence', 140.0, 0.0, 'EUR', 'seat')
)

select
    'cost-' || number || '-' || week as cost_id, model_id, null::varchar as model_version,
    period_start, period_end, cost_type,
    round((fixed + per_prediction * 7 * getvariable('predictions') / getvariable('days'))
        * (0.9 + 0.2 * u('cost', 16 * week + number)), 2) as amount,
    currency,
    round(10 + 90 * u('quantity', 16 * week + number), 1) as quantity, unit,
    period_end + to_hours(6) as arrived_at,
    if(is_settled(period_end) and (week + number) % 11 = 5, 'corrected', null) as fate,
    period_end + to_days(4) as again_at
from weeks, prices;

create view "serving_costs/costs" as
select * exclude (arrived_at, fate, again_at) replace (
        if(fate = 'corrected', amount + 50, amount) as amount
    ),
    arrived_at as loaded_at
from cost_rows
union all
select * exclude (arrived_at, fate, again_at), again_at
from cost_rows where fate is not null
union all by name
select * exclude (kind) from malformed_serving_costs;

create view annotation_rows as
select
    'note-' || row_number() over () as annotation_id, *
from (values
    (timestamp '2026-03-16', timestamp '2026-05-20', 'lead_scoring', 'experiment',
        'First-hour call is tried on half of the leads', 'Sales Operations', false),
    (timestamp '2026-04-03', timestamp '2026-04-07', 'all', 'holiday', 'Easter weekend',
        'People Team', false),
    (timestamp '2026-04-06', timestamp '2026-05-18', 'next_best_offer', 'experiment',
        'Reasons are shown beside offers to half of the customers', 'Online Shop', false),
    (drift_from(), timestamp '2026-06-30', 'lead_scoring', 'campaign',
        'Small-business campaign brings smaller, colder leads', 'Marketing', false),
    (bad_release_from(), bad_release_to(), 'next_best_offer', 'incident',
        'Release 8.0 read empty features, rolled back', 'Online Shop', true),
    (incident_from(), incident_to(), 'fraud_detection', 'incident',
        'Feature service slow, scoring timed out', 'Payments Platform', true),
    (timestamp '2026-06-16 09:00:00', null, 'next_best_offer', 'release', 'Release 8.1',
        'Online Shop', false),
    (biased_release_from(), null, 'demand_forecast', 'release',
        'Release 3.1, trained with the weeks of the sale', 'Supply Chain', false),
    (timestamp '2026-03-16', timestamp '2026-04-06', 'next_best_offer', 'experiment',
        'New taste features are tried on half of the customers', 'Online Shop', false),
    (timestamp '2026-06-26', null, 'fraud_answers:fraud_detection', 'postmortem',
        'Scoring had no time-out of its own; it now falls back after 300 ms', 'Payments Platform',
        false)
) as notes(
    effective_from, effective_to, scope, kind, title, author, excludes_from_causal
);

create view "kpi_annotations/annotations" as
select
    annotation_id, csv_time(effective_from) as effective_from,
    csv_time(effective_to) as effective_to,
    scope, kind, title, author,
    if(kind = 'postmortem', 'https://example.com/postmortems/slow-feature-service', null) as link,
    excludes_from_causal,
    csv_time(effective_from + to_hours(9)) as loaded_at
from annotation_rows
union all by name
select * exclude (malformation) from malformed_kpi_annotations;

create view "alert_actions/actions" as
select
    'action-' || row_number() over () as action_id, alert_key, csv_time(acted_at) as acted_at,
    action, acted_by, null::varchar as snoozed_until, note, csv_time(acted_at) as loaded_at
from (values
    ('fraud_answers:fraud_detection', timestamp '2026-06-23 07:30:00', 'acknowledged',
        'Payments Platform', null),
    ('fraud_answers:fraud_detection', timestamp '2026-06-23 16:45:00', 'closed',
        'Payments Platform', 'The feature service was moved to a larger machine'),
    ('features_drift:lead_scoring', timestamp '2026-05-26 09:10:00', 'acknowledged',
        'Data Science', 'Marketing confirms the campaign; retrain once its leads have matured')
) as actions(alert_key, acted_at, action, acted_by, note);
