-- The planted truth, from the generator's own tables: what a correct reading of the delivered rows
-- must find. Only decisions in prod that had arrived by `as_of` count; the cell of a decision is
-- known once its label matured; money is in US dollars at the rate of the day it moved.

create macro month_of(happened_at) as strftime(happened_at, '%Y-%m');
create macro is_seen(decision, happened_at) as
    happened_at is not null and is_visible(arrival('usage', decision, happened_at));
create macro is_matured(happened_at, horizon_and_delay_days) as
    happened_at + to_days(horizon_and_delay_days) <= getvariable('as_of');

-- One row per lead: what had become known of it by `as_of`.
create view known_leads as
with arrived as (
    select *,
        arrival('converted', lead, outcome_observed_at) as label_arrived_at,
        arrival('revenue', lead, revenue_at + to_hours(1)) as revenue_arrived_at
    from leads
)

select
    lead, is_converted, outcome_at, revenue_at, age_band, gender, is_in_trial, variant,
    case
        when label_status = 'never' or not is_visible(label_arrived_at) then 'unknown'
        when is_converted and label_status = 'final'
            and is_retracted('converted', lead, label_arrived_at) then 'reversed'
        else label_status
    end as label_status,
    case when is_converted and label_status = 'final' and is_visible(revenue_arrived_at)
        and not is_retracted('revenue', lead, revenue_arrived_at)
        then usd(revenue, currency, revenue_at) end as revenue_usd
from arrived
join lead_genders using (lead);

create table lead_truth as
with visible as (
    select *, arrival('lead score', i, happened_at) as arrived_at
    from lead_scores
    where is_prod
),

linked as (
    select
        visible.*, known_leads.* exclude (lead, label_status),
        if(outcome_at >= happened_at and outcome_at < happened_at + to_days(30),
            label_status, 'unknown') as label_status,
        revenue_at >= happened_at and revenue_at < happened_at + to_days(30) as is_revenue_linked
    from visible
    join known_leads using (lead)
    where is_visible(arrived_at)
),

credited as (
    select *,
        case when is_revenue_linked and row_number() over (
            partition by lead, is_revenue_linked order by happened_at desc
        ) = 1 then revenue_usd end as amount_usd,
        case
            when not is_matured(happened_at, 32) or label_status = 'provisional' then 'pending'
            when label_status = 'final' then 'matured' else 'unlabelled'
        end as label_state
    from linked
),

judged as (
    select *,
        case when label_state = 'matured'
            then if(is_positive = is_converted, 't', 'f') || if(is_positive, 'p', 'n') end as cell
    from credited
)

select
    'lead_scoring' as model_id, lead_version(happened_at) as model_version,
    month_of(happened_at) as month, label_state, cell, amount_usd,
    lead_value(cell, coalesce(amount_usd, 0)) as value_usd,
    is_seen(4 * i, shown_at) as shown, is_seen(4 * i, viewed_at) as viewed,
    case when is_seen(4 * i, acted_at) then action end as action,
    age_band, gender, if(is_in_trial, variant, null) as variant
from judged;

create view fraud_truth as
with visible as (
    select *,
        coalesce(is_fraud
            and is_visible(arrival('fraud', i, confirmed_observed_at))
            and not is_retracted('fraud', i, arrival('fraud', i, confirmed_observed_at)), false)
            as is_confirmed,
        if(is_matured(happened_at, 35), 'matured', 'pending') as label_state
    from payments
    where is_prod and is_visible(arrival('payment', i, happened_at))
),

judged as (
    select *,
        if(is_confirmed, usd(amount, currency, confirmed_at), null) as amount_usd,
        case when label_state = 'matured'
            then if(is_positive = is_confirmed, 't', 'f') || if(is_positive, 'p', 'n') end as cell
    from visible
)

select
    'fraud_detection' as model_id, fraud_version(happened_at) as model_version,
    month_of(happened_at) as month, label_state, cell, amount_usd,
    fraud_value(cell, coalesce(amount_usd, 0)) as value_usd,
    is_seen(4 * i + 1, shown_at) as shown, is_seen(4 * i + 1, viewed_at) as viewed,
    case when is_seen(4 * i + 1, acted_at) then action end as action
from judged;

-- An order goes to the customer's latest list of the seven days before: to its last item.
create table order_credits as
with visible_lists as (
    select list, customer, happened_at + to_milliseconds(2) as shown_at
    from lists
    where is_prod and is_visible(arrival('list', list, happened_at))
),

booked as (
    select customer, happened_at, usd(amount, currency, happened_at) as amount_usd
    from orders
    where is_visible(arrival('order', order_number, observed_at))
        and not is_retracted('order', order_number, arrival('order', order_number, observed_at))
)

select visible_lists.list, sum(booked.amount_usd) as amount_usd
from booked
asof join visible_lists
    on booked.customer = visible_lists.customer and booked.happened_at >= visible_lists.shown_at
where booked.happened_at < visible_lists.shown_at + to_days(7)
group by visible_lists.list;

create table offer_truth as
with visible as (
    select offers.*,
        if(rank_position = 3, order_credits.amount_usd, null) as amount_usd,
        if(is_matured(happened_at, 8), 'matured', 'pending') as label_state,
        coalesce(redeemed_at is not null
            and is_visible(arrival('redeemed', i, redeemed_observed_at))
            and not is_retracted('redeemed', i, arrival('redeemed', i, redeemed_observed_at)),
            false) as is_known_redeemed
    from offers
    left join order_credits using (list)
    where is_prod
        and is_visible(arrival('list', list, happened_at - to_milliseconds(rank_position - 1)))
),

judged as (
    select *,
        case when label_state = 'matured' then if(is_known_redeemed, 'tp', 'fp') end as cell
    from visible
)

select
    'next_best_offer' as model_id, offer_version(happened_at, customer) as model_version,
    month_of(happened_at) as month, label_state, cell, amount_usd,
    offer_value(cell, coalesce(amount_usd, 0)) as value_usd,
    is_seen(4 * i + 2, shown_at) as shown, is_seen(4 * i + 2, viewed_at) as viewed,
    case when is_seen(4 * i + 2, acted_at) then action end as action,
    customer, happened_at
from judged;

-- A forecast has no class and no value; its label is the number of units sold.
create view demand_truth as
with visible as (
    select *,
        sold_at is not null and is_visible(arrival('units', i, sold_observed_at))
            and not is_retracted('units', i, arrival('units', i, sold_observed_at)) as is_known
    from forecasts
    where is_prod and is_visible(arrival('forecast', i, happened_at))
),

judged as (
    select *,
        case when not is_matured(happened_at, 9) then 'pending'
            when is_known then 'matured' else 'unlabelled' end as label_state
    from visible
)

select
    'demand_forecast' as model_id, forecast_version(happened_at) as model_version,
    month_of(happened_at) as month, label_state,
    is_seen(4 * i + 3, shown_at) as shown, is_seen(4 * i + 3, viewed_at) as viewed,
    case when is_seen(4 * i + 3, acted_at) then action end as action,
    case when label_state = 'matured' then forecast - units end as error,
    case when label_state = 'matured' then units end as actual
from judged;

create table truth_decisions as
with decided as (
    select * exclude (age_band, gender, variant) from lead_truth
    union all by name
    from fraud_truth
    union all by name
    select * exclude (customer, happened_at) from offer_truth
    union all by name
    from demand_truth
    union all by name
    select
        -- they are younger than any label
        model_id, model_version, month_of(predicted_at) as month, 'pending' as label_state,
        false as shown, false as viewed
    from malformed_prediction_logs where is_bad_cell(kind)
)

select
    model_id, model_version, month,
    count(*) as decisions,
    count(*) filter (label_state = 'matured') as matured,
    count(*) filter (label_state = 'pending') as pending,
    count(*) filter (label_state = 'unlabelled') as unlabelled,
    count(*) filter (cell = 'tp') as tp,
    count(*) filter (cell = 'fp') as fp,
    count(*) filter (cell = 'fn') as fn,
    count(*) filter (cell = 'tn') as tn,
    round(coalesce(sum(value_usd), 0), 4) as value_usd,
    round(coalesce(sum(amount_usd), 0), 4) as credited_usd,
    count(error) as measured,
    round(coalesce(sum(error), 0), 4) as error_sum,
    round(coalesce(sum(abs(error)), 0), 4) as absolute_error_sum,
    coalesce(sum(actual), 0) as actual_sum,
    count(*) filter (shown) as shown,
    count(*) filter (viewed or action is not null) as viewed,
    count(*) filter (action = 'accepted') as accepted,
    count(*) filter (action = 'rejected') as rejected,
    count(*) filter (action = 'overridden') as overridden,
    count(*) filter (action = 'edited') as edited,
    count(*) filter (action = 'dismissed') as dismissed,
    count(*) filter (shown and action is null) as ignored
from decided
group by grouping sets ((model_id), (model_id, model_version, month));

create view truth_models as
select * exclude (model_version, month) from truth_decisions where month is null;
create view truth_version_months as
from truth_decisions where month is not null;

create view truth_outcomes as
select
    outcome_name,
    count(*) as outcomes,
    round(sum(usd(outcome_value, currency, occurred_at)), 4) as amount_usd,
    count(*) filter (
        currency is not null and usd(outcome_value, currency, occurred_at) is null
    ) as without_rate
from outcome_rows
where is_visible(arrived_at) and not is_retracted
group by outcome_name;

-- A user-day is active when the user did something that is not passive.
create view truth_adoption as
with active as (
    select distinct model_id, user_id, occurred_at::date as active_date
    from usage_rows
    where is_passive is null and is_visible(arrived_at)
    union
    select model_id, user_id, occurred_at::date
    from malformed_usage_events where is_bad_cell(kind)
),

eligible as (
    select distinct model_id, user_id, unnest(range(
        eligible_from, coalesce(eligible_to, getvariable('as_of')), to_days(1)
    ))::date as active_date
    from eligible_rows
    where is_visible(arrived_at)
)

select
    model_id,
    count(*) filter (eligible.user_id is not null) as eligible_user_days,
    count(*) filter (active.user_id is not null) as active_user_days,
    count(*) filter (eligible.user_id is not null and active.user_id is not null)
        as active_eligible_user_days
from eligible
full join active using (model_id, user_id, active_date)
group by model_id;

create view truth_groups as
select
    if(age_band = '65+', 'treated_worse', 'rest') as group_name,
    count(*) as decisions,
    count(*) filter (cell = 'tp') as tp,
    count(*) filter (cell = 'fn') as fn
from lead_truth
group by all;

create view truth_bad_threshold as
select
    'fraud_detection' as model_id, fraud_threshold()::double as in_force,
    better_fraud_threshold()::double as better;

create view truth_missed_group as
select
    if(gender = 'not_stated', 'missed', 'rest') as group_name,
    count(*) as decisions,
    count(*) filter (cell = 'tp') as tp,
    count(*) filter (cell = 'fn') as fn
from lead_truth
group by all;

-- Decisions of a unit that count for its experiment: those in its window.
create view truth_variants as
with counted as (
    select 'lead_first_hour_call' as experiment_id, variant, cell
    from lead_truth where variant is not null
    union all
    select experiment_id, variant, cell
    from offer_units
    join experiments using (experiment_id)
    join offer_truth
        on offer_truth.customer = offer_units.customer
        and happened_at >= exposed_at and happened_at < exposed_at + to_days(window_days)
),

decided as (
    select
        experiment_id, variant,
        count(*) filter (cell is not null) as matured_decisions,
        count(*) filter (cell in ('tp', 'fn')) as positive_decisions
    from counted
    group by all
),

assigned as (
    select experiment_id, variant, count(*) as units
    from assignment_rows
    where is_visible(arrived_at)
    group by all
)

select experiment_id, variant, units, matured_decisions, positive_decisions
from assigned
left join decided using (experiment_id, variant);

create view truth_lifts as
with doubled as (
    select experiment_id, unit_id
    from assignment_rows
    where is_visible(arrived_at)
    group by all
    having count(distinct variant) > 1
)

select
    experiment_id, model_id, unit_type, metric, lift::double as planted_relative_lift,
    starts_at::varchar as starts_at, ends_at::varchar as ends_at, window_days,
    starts_at >= getvariable('first_day') as is_within_logs,
    count(doubled.unit_id) as units_in_both_variants
from experiments
left join doubled using (experiment_id)
group by all;

-- Versions that served at one time, each a side of an experiment, and how much more than the other
-- the first one tells what customers take up from what they do not.
create view truth_version_trials as
select
    experiment_id, '8.0-rc1' as model_version, '7.2' as compared_with, model_id,
    starts_at::varchar as starts_at, ends_at::varchar as ends_at,
    starts_at >= getvariable('first_day') as is_within_logs, 0.0::double as roc_auc_difference
from experiments
where experiment_id = 'offer_taste_features';

create view truth_costs as
select model_id, round(sum(usd(amount, currency, period_start)), 4) as cost_usd
from cost_rows
where is_visible(arrived_at)
group by model_id;

-- Decisions outside prod, and calls that failed.
create view truth_elsewhere as
select
    'lead_scoring' as model_id, count(*) filter (not is_prod) as staging_decisions,
    0 as failed_calls
from lead_scores
union all
select
    'fraud_detection', count(*) filter (not is_prod),
    count(*) filter (is_failed and is_prod and is_visible(arrival('payment', i, happened_at)))
from payments
union all
select 'next_best_offer', count(*) filter (not is_prod), 0
from offers
union all
select 'demand_forecast', count(*) filter (not is_prod), 0
from forecasts;

create view truth_plants as
select
    plant, model_id, starts_at::varchar as starts_at, ends_at::varchar as ends_at,
    starts_at >= getvariable('first_day') as is_within_logs, description
from (values
    ('drift', 'lead_scoring', drift_from(), null,
        'company_size falls, days_since_contact rises, industry shifts to retail'),
    ('missed_group', 'lead_scoring', getvariable('first_day')::timestamp, null,
        'leads whose gender is not_stated are found half as often as the others'),
    ('latency_incident', 'fraud_detection', incident_from(), incident_to(),
        'slow calls, a third fails with status 503 and the fallback score'),
    ('lost_calibration', 'lead_scoring', overconfident_from(), null,
        'version 2026.1 is surer than it may be; order and decisions stay'),
    ('bad_threshold', 'fraud_detection', getvariable('first_day')::timestamp, null,
        'a threshold of 0.24 would earn more than the 0.2 in force'),
    ('bad_release', 'next_best_offer', bad_release_from(), bad_release_to(),
        'version 8.0 halves acceptance and is rolled back to 7.2'),
    ('biased_release', 'demand_forecast', biased_release_from(), null,
        'version 3.1 errs by six units upwards instead of half a unit'),
    ('better_planners', 'demand_forecast', biased_release_from(), null,
        'planners who change a forecast come closer than version 3.1, and less close than 3.0')
) as planted(plant, model_id, starts_at, ends_at, description);

-- Features that drift, and by which test that shows. What only follows from a plant shows where
-- there are rows enough.
create view truth_drift as
select
    model_id, feature, kind, starts_at::varchar as starts_at, ends_at::varchar as ends_at,
    is_consequence, starts_at >= getvariable('first_day') as is_within_logs
from (values
    ('lead_scoring', 'company_size', 'psi', drift_from(), null, false),
    ('lead_scoring', 'days_since_contact', 'psi', drift_from(), null, false),
    ('lead_scoring', 'industry', 'psi', drift_from(), null, false),
    ('lead_scoring', 'score', 'psi', overconfident_from(), null, true),
    ('lead_scoring', 'actual_label', 'label', drift_from(), null, true),
    ('lead_scoring', 'days_since_contact', 'missing', loss_from(), loss_to(), false),
    ('fraud_detection', 'payment_amount', 'psi', shift_from(), null, false),
    ('fraud_detection', 'score', 'psi', incident_from(), incident_to(), true),
    ('next_best_offer', 'offer_category', 'new_category', bad_release_from(), bad_release_to(),
        false),
    ('next_best_offer', 'actual_label', 'label', bad_release_from(), bad_release_to(), true)
) as planted(model_id, feature, kind, starts_at, ends_at, is_consequence);

create view truth_malformed as
select 'prediction_logs' as table_name, kind, prediction_id as key from malformed_prediction_logs
union all
select 'usage_events', kind, event_id from malformed_usage_events
union all
select 'business_outcomes', kind, outcome_id from malformed_business_outcomes
union all
select 'eligible_users', kind, user_id from malformed_eligible_users
union all
select 'experiment_assignments', kind, unit_id from malformed_experiment_assignments
union all
select 'feedback', kind, response_id from malformed_feedback
union all
select 'model_releases', kind, release_id from malformed_model_releases
union all
select 'serving_costs', kind, cost_id from malformed_serving_costs
union all
select 'kpi_annotations', malformation, annotation_id from malformed_kpi_annotations;

-- Per raw table: rows that stay, and rows that another copy of the same row replaces.
create view truth_rows as
with delivered(table_name, arrived_at, fate, is_retracted) as (
    select 'prediction_logs', arrived_at, fate, false from prediction_rows
    union all
    select 'usage_events', arrived_at, fate, false from usage_rows
    union all
    select 'business_outcomes', arrived_at, fate, is_retracted from outcome_rows
    union all
    select 'eligible_users', arrived_at, fate, false from eligible_rows
    union all
    select 'experiment_assignments', arrived_at, fate, false from assignment_rows
    union all
    select 'feedback', arrived_at, fate, false from feedback_rows
    union all
    select 'model_releases', event_at, if(event_type = 'rolled_back', 'duplicate', null), false
    from release_rows
    union all
    select 'serving_costs', arrived_at, fate, false from cost_rows
    union all
    select 'kpi_annotations', effective_from, null, false from annotation_rows
    union all
    select table_name, bad_time(), null, false from truth_malformed where is_bad_cell(kind)
)

select
    table_name,
    count(*) filter (is_visible(arrived_at)) as staged,
    count(*) filter (not is_visible(arrived_at)) as not_visible,
    count(*) filter (fate = 'duplicate') as duplicates,
    count(*) filter (fate in ('corrected', 'moved')) as corrections,
    count(*) filter (fate = 'moved') as corrections_that_move,
    count(*) filter (is_retracted) as retractions
from (select distinct table_name from truth_malformed)
left join delivered using (table_name)
where arrived_at is null or is_delivered(arrived_at)
group by table_name;
