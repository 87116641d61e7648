-- The daily bricks of decisions, use and outcomes, written by hand from the raw files of one workspace
-- (variables: raw, as_of). No governed project needs less work than this; the bench states how much more it takes.
create temp table registry (
    model_id varchar, label_outcome varchar, amount_outcome varchar, positive_label varchar,
    threshold double, horizon_days integer, wait_days integer, negative_on_absence boolean
);
insert into registry values
    ('lead_scoring', 'converted', 'revenue', 'true', 0.3, 30, 32, false),
    ('fraud_detection', 'fraud_confirmed', 'fraud_confirmed', 'true', 0.2, 30, 35, true),
    ('next_best_offer', 'offer_accepted', 'revenue', null, 0, 7, 8, true),
    ('demand_forecast', 'units_sold', null, null, null, 7, 9, false);

create temp table unit_values as
select * from read_csv('seeds/unit_values.csv', types = {'valid_from': 'timestamp', 'valid_to': 'timestamp'});

create temp table rates as
select * from read_csv('seeds/exchange_rates.csv', types = {'valid_from': 'timestamp', 'valid_to': 'timestamp'});

create temp table predictions as
with delivered as (
    select * from read_parquet(getvariable('raw') || '/prediction_logs/*.parquet', union_by_name = true)
    where
        loaded_at <= getvariable('as_of') and prediction_id is not null and model_version is not null
        and predicted_at is not null and entity_id is not null
        and coalesce(propensity between 1e-300 and 1, true) and coalesce(sampling_fraction between 1e-300 and 1, true)
        and coalesce(rank_position >= 1, true) and coalesce(latency_ms >= 0, true)
        and coalesce(score between 0 and 1 or model_id = 'next_best_offer', true)
),

again as (select prediction_id from delivered group by all having count(*) > 1)

select
    prediction_id, delivered.model_id, model_version, predicted_at, entity_id, user_id, score, predicted_label, predicted_value,
    decision_threshold, sampling_fraction, channel, device, region
from delivered
inner join registry using (model_id)
left join again using (prediction_id)
where again.prediction_id is null and coalesce(environment, 'prod') = 'prod'
union all
select columns (c -> c not in ('environment', 'loaded_at')) from (
    select
        prediction_id, model_id, model_version, predicted_at, entity_id, user_id, score, predicted_label, predicted_value,
        decision_threshold, sampling_fraction, channel, device, region, environment
    from delivered
    inner join again using (prediction_id)
    inner join registry using (model_id)
    qualify row_number() over (partition by prediction_id order by loaded_at desc) = 1
)
where coalesce(environment, 'prod') = 'prod';

create temp table outcomes as
select outcome_id, outcome_name, prediction_id, entity_id, user_id, outcome_label, occurred_at, coalesce(status, 'final') as status, amount from (
    select raw.*, raw.outcome_value * if(raw.currency is null or raw.currency = 'USD', 1, rate) as amount
    from read_parquet(getvariable('raw') || '/business_outcomes/*.parquet', union_by_name = true) as raw
    left join rates
        on raw.currency = rates.currency and occurred_at >= valid_from and (valid_to is null or occurred_at < valid_to)
    where
        loaded_at <= getvariable('as_of') and outcome_id is not null and outcome_name is not null
        and occurred_at is not null and observed_at >= occurred_at
        and coalesce(prediction_id, entity_id, user_id) is not null
        and (outcome_label is not null or outcome_value is not null)
        and coalesce(status in ('final', 'provisional', 'reversed', 'censored'), true)
        and (raw.currency is null or raw.currency = 'USD' or rate is not null)
    qualify row_number() over (partition by outcome_id order by loaded_at desc) = 1
);

create temp table events as
with delivered as (
    select * from read_parquet(getvariable('raw') || '/usage_events/*.parquet', union_by_name = true)
    where
        loaded_at <= getvariable('as_of') and event_id is not null and occurred_at is not null and user_id is not null
        and event_name in (
            'exposed', 'viewed', 'accepted', 'rejected', 'overridden', 'edited', 'dismissed', 'task_completed'
        )
        and model_id in (select model_id from registry) and coalesce(duration_ms >= 0, true)
),

again as (select event_id from delivered group by all having count(*) > 1)

select event_name, occurred_at, user_id, model_id, prediction_id, is_passive
from delivered
left join again using (event_id)
where again.event_id is null
union all
select event_name, occurred_at, user_id, model_id, prediction_id, is_passive from (
    select *
    from delivered
    inner join again using (event_id)
    qualify row_number() over (partition by event_id order by loaded_at desc) = 1
);

create temp table links as
with pairs as (
    select outcome_id, p.prediction_id, p.model_id, p.predicted_at
    from outcomes as o
    inner join predictions as p on o.prediction_id = p.prediction_id
    union all
    select outcome_id, p.prediction_id, p.model_id, p.predicted_at
    from outcomes as o
    inner join predictions as p on o.entity_id = p.entity_id and o.occurred_at >= p.predicted_at
    inner join registry as r on p.model_id = r.model_id and o.occurred_at < p.predicted_at + to_days(r.horizon_days)
    where o.prediction_id is null
    union all
    select outcome_id, p.prediction_id, p.model_id, p.predicted_at
    from outcomes as o
    inner join predictions as p on o.user_id = p.user_id and o.occurred_at >= p.predicted_at
    inner join registry as r on p.model_id = r.model_id and o.occurred_at < p.predicted_at + to_days(r.horizon_days)
    where o.prediction_id is null and o.entity_id is null
)

select *, row_number() over (partition by outcome_id, model_id order by predicted_at desc, prediction_id desc) = 1 as is_credited
from pairs;

create table decision_bricks as
with facts as (
    select
        links.prediction_id,
        bool_or(outcome_name = label_outcome and status = 'final') as is_labelled,
        bool_or(outcome_name = label_outcome and status = 'final' and coalesce(outcome_label = positive_label, outcome_name <> 'units_sold'))
            as is_positive,
        max(amount) filter (outcome_name = 'units_sold' and status = 'final') as units,
        bool_or(outcome_name = label_outcome and status = 'provisional') as is_provisional,
        bool_or(outcome_name = label_outcome and status <> 'reversed') as has_label,
        sum(amount) filter (outcome_name = amount_outcome and status = 'final' and is_credited) as amount
    from links
    inner join outcomes using (outcome_id)
    inner join registry using (model_id)
    group by links.prediction_id
),

uses as (
    select
        prediction_id,
        max(case event_name when 'exposed' then 1 when 'viewed' then 2 else 3 end) as depth,
        arg_max(event_name, occurred_at) filter (event_name not in ('exposed', 'viewed')) as action
    from events
    where prediction_id is not null and event_name <> 'task_completed'
    group by prediction_id
),

judged as (
    select
        p.model_id, p.model_version, predicted_at, channel, device, region, depth, action, amount,
        if(predicted_at + to_days(wait_days) <= getvariable('as_of'), predicted_value - units, null) as error,
        abs(units) as size,
        1 / coalesce(sampling_fraction, 1) as weight,
        case
            when predicted_at + to_days(wait_days) > getvariable('as_of') then 'pending'
            when is_labelled or (has_label is not true and negative_on_absence) then 'matured'
            when is_provisional then 'pending'
            else 'unlabelled'
        end as state,
        coalesce(predicted_label = positive_label, score >= coalesce(decision_threshold, threshold)) as says_yes,
        coalesce(is_positive, false) as is_yes
    from predictions as p
    inner join registry as r on p.model_id = r.model_id
    left join facts on p.prediction_id = facts.prediction_id
    left join uses on p.prediction_id = uses.prediction_id
),

celled as (
    select
        *,
        case when state = 'matured' and says_yes is not null
            then if(says_yes, if(is_yes, 'tp', 'fp'), if(is_yes, 'fn', 'tn')) end as cell
    from judged
)

select
    c.model_id, model_version, predicted_at::date as day, channel, device, region,
    grouping_id(channel, device, region) as segment,
    sum(weight) as decisions,
    sum(weight) filter (state <> 'matured') as excluded,
    sum(weight) filter (state <> 'matured' and says_yes) as excluded_positive,
    sum(weight) filter (state = 'matured') as matured,
    sum(weight) filter (state = 'matured' and is_yes) as positives,
    sum(weight) filter (c.cell = 'tp') as tp,
    sum(weight) filter (c.cell = 'fp') as fp,
    sum(weight) filter (c.cell = 'fn') as fn,
    sum(weight) filter (c.cell = 'tn') as tn,
    sum(weight) filter (error is not null) as measured,
    sum(weight * error) as error,
    sum(weight * abs(error)) as absolute_error,
    sum(weight * size) filter (error is not null) as actual_magnitude,
    sum(weight) filter (depth >= 1) as shown,
    sum(weight) filter (action = 'accepted') as accepted,
    sum(weight * (fixed_amount + amount_coefficient * coalesce(amount, 0))) as value,
    sum(weight) filter (fixed_amount is not null) as valued
from celled as c
left join unit_values as v
    on c.model_id = v.model_id and c.cell = v.cell
    and predicted_at >= v.valid_from and (v.valid_to is null or predicted_at < v.valid_to)
group by grouping sets (
    (c.model_id, model_version, day), (c.model_id, model_version, day, channel),
    (c.model_id, model_version, day, device), (c.model_id, model_version, day, region)
);

create table usage_bricks as
with days as (
    select distinct model_id, user_id, occurred_at::date as day from events where is_passive is not true
),

eligible as (
    select distinct
        model_id, user_id,
        unnest(generate_series(
            eligible_from::date, coalesce(eligible_to - interval 1 microsecond, getvariable('as_of') - interval 1 day)::date, interval 1 day
        ))::date as day
    from (
        select * from read_parquet(getvariable('raw') || '/eligible_users/*.parquet', union_by_name = true)
        where loaded_at <= getvariable('as_of') and user_id is not null and coalesce(eligible_to >= eligible_from, true)
        qualify row_number() over (partition by user_id, model_id, eligible_from order by loaded_at desc) = 1
    )
    inner join registry using (model_id)
)

select
    model_id, day, count(days.user_id) as active, count(eligible.user_id) as eligible,
    count(*) filter (days.user_id is not null and eligible.user_id is not null) as adopted
from days full join eligible using (model_id, user_id, day)
group by model_id, day;

create table outcome_bricks as
select
    coalesce(p.model_id, '(none)') as model_id, p.model_version, occurred_at::date as day, p.channel, p.device, p.region,
    grouping_id(p.channel, p.device, p.region) as segment,
    count(*) as outcomes,
    sum(amount) filter (outcome_name = 'revenue') as revenue
from outcomes
left join (select * from links where is_credited) as credits using (outcome_id)
left join predictions as p on credits.prediction_id = p.prediction_id
where status = 'final'
group by grouping sets (
    (p.model_id, p.model_version, day), (p.model_id, p.model_version, day, p.channel),
    (p.model_id, p.model_version, day, p.device), (p.model_id, p.model_version, day, p.region)
);
