-- The company: its calendar, prices and chance. Dates are fixed; the argument `days` only says how
-- far back the delivered logs reach. Times are UTC, money is US dollars unless it names a currency.
-- Set by the caller: variables seed, predictions, days.

set variable as_of = timestamp '2026-07-01 00:00:00';
set variable first_day = getvariable('as_of') - to_days(getvariable('days')::int);

-- Chance: a uniform in [0, 1) and a normal that depend on (seed, purpose, i) alone.
create macro u(purpose, i) as
    (hash(xor(i::ubigint, hash(purpose, getvariable('seed')::bigint))) >> 11) / 9007199254740992.0;
create macro normal(purpose, i) as
    sqrt(-2 * ln(1 - u(purpose || ' radius', i))) * cos(2 * pi() * u(purpose || ' angle', i));
create macro sigmoid(x) as 1 / (1 + exp(-x));
create macro span_days(x) as to_microseconds((86400000000.0 * x)::bigint);
create macro span_minutes(x) as to_microseconds((60000000.0 * x)::bigint);
create macro pick(options, x) as options[1 + floor(x * len(options))::int];

-- Trials give each unit one of two variants.
create macro variant(experiment_id, unit) as
    case when u(experiment_id, unit) < 0.5 then 'control' else 'treatment' end;

-- Delivery: most rows arrive within minutes, a few days late; old rows may come again.
create macro arrival(purpose, i, happened_at) as
    happened_at + span_minutes(1 + 14 * u(purpose || ' transit', i))
    + case when u(purpose || ' late', i) < 0.004
        then span_days(0.5 + 5 * u(purpose || ' late days', i)) else span_days(0) end;
create macro is_settled(arrived_at) as arrived_at < getvariable('as_of') - to_days(8);
create macro fate(purpose, i, arrived_at) as
    case when is_settled(arrived_at) then
        case when u(purpose || ' fate', i) < 0.005 then 'duplicate'
            when u(purpose || ' fate', i) < 0.007 then 'corrected'
            when u(purpose || ' fate', i) < 0.008 then 'moved' end
    end;
create macro is_retracted(purpose, i, arrived_at) as
    is_settled(arrived_at) and u(purpose || ' fate', i) >= 0.008
    and u(purpose || ' fate', i) < 0.028;
create macro second_arrival(purpose, i, arrived_at) as
    arrived_at + span_days(0.25 + 5.5 * u(purpose || ' again', i));
create macro is_visible(arrived_at) as arrived_at <= getvariable('as_of');
create macro is_delivered(arrived_at) as arrived_at <= getvariable('as_of') + to_days(1);

create macro csv_time(happened_at) as strftime(happened_at, '%Y-%m-%d %H:%M:%S');

-- What was planted, and when.
create macro drift_from() as timestamp '2026-05-11 00:00:00';
create macro incident_from() as timestamp '2026-06-22 12:40:00';
create macro incident_to() as timestamp '2026-06-22 17:10:00';
create macro bad_release_from() as timestamp '2026-05-19 10:00:00';
create macro bad_release_to() as timestamp '2026-05-24 16:00:00';
create macro candidate_from() as timestamp '2026-03-16 00:00:00';
create macro candidate_to() as timestamp '2026-03-30 00:00:00';
create macro biased_release_from() as timestamp '2026-05-26 05:00:00';
create macro is_incident(happened_at) as
    happened_at >= incident_from() and happened_at < incident_to();
create macro is_bad_release(happened_at) as
    happened_at >= bad_release_from() and happened_at < bad_release_to();
create macro is_biased_release(happened_at) as happened_at >= biased_release_from();

-- Faults of features as they are logged: the decisions were made with the right ones.
create macro loss_from() as timestamp '2026-04-20 00:00:00';
create macro loss_to() as timestamp '2026-04-27 00:00:00';
create macro shift_from() as timestamp '2026-06-08 00:00:00';
create macro is_lost(happened_at, i) as
    happened_at >= loss_from() and happened_at < loss_to() and u('feature is lost', i) < 0.5;
-- A quarter of the standard deviation, 1, of the logarithm.
create macro shifted(amount, happened_at) as
    if(happened_at >= shift_from(), round(amount * exp(0.25), 2), amount);

create macro overconfident_from() as timestamp '2026-04-27 08:00:00';
create macro lead_version(happened_at) as
    case when happened_at < overconfident_from() then '2025.4' else '2026.1' end;
-- Version 2026.1 moves every score away from its threshold, 0.32: the order and the decisions stay,
-- but a lead is not as sure as it says.
create macro lead_probability(score, happened_at) as
    case when lead_version(happened_at) = '2025.4' then score
        when score >= 0.32 then round(0.32 + 0.68 * ((score - 0.32) / 0.68) ** 0.45, 4)
        else round(0.32 * (score / 0.32) ** 2.2, 4) end;
create macro fraud_version(happened_at) as
    case when happened_at < timestamp '2026-05-04 06:00:00' then '4.1' else '4.2' end;
-- The candidate of release 8.0 serves half of the customers during its trial. It puts offers in the
-- same order as 7.2 does.
create macro offer_version(happened_at, customer) as
    case when is_bad_release(happened_at) then '8.0'
        when happened_at >= candidate_from() and happened_at < candidate_to()
            and variant('offer_taste_features', customer) = 'treatment' then '8.0-rc1'
        when happened_at < timestamp '2026-06-16 09:00:00' then '7.2' else '8.1' end;
create macro forecast_version(happened_at) as
    case when is_biased_release(happened_at) then '3.1' else '3.0' end;

-- A forecast errs by a normal number of units: release 3.1 scatters less, but lies too high. Planners
-- who change one know that, and used to do worse than 3.0.
create table forecast_errors as
select
    model_version, bias::double as bias, spread::double as spread,
    planner_spread::double as planner_spread
from (values ('3.0', 0.5, 9, 14), ('3.1', 6, 8, 5))
    as planted(model_version, bias, spread, planner_spread);

create table experiments as
select * from (values
    ('offer_ranking_reasons', 'next_best_offer', 'user', timestamp '2026-04-06 00:00:00',
        timestamp '2026-05-04 00:00:00', 14, 0.30, 'conversion_rate'),
    ('lead_first_hour_call', 'lead_scoring', 'entity', timestamp '2026-03-16 00:00:00',
        timestamp '2026-04-20 00:00:00', 30, 0.20, 'conversion_rate'),
    ('offer_ranking_aa', 'next_best_offer', 'user', timestamp '2026-05-26 00:00:00',
        timestamp '2026-06-14 00:00:00', 7, 0.0, 'conversion_rate'),
    -- Release 8.0 in its trial: it should not have gone further. Over before the next trial begins.
    ('offer_taste_features', 'next_best_offer', 'user', candidate_from(), candidate_to(), 7, -0.55, 'conversion_rate')
) as planted(experiment_id, model_id, unit_type, starts_at, ends_at, window_days, lift, metric);

-- Prices: equal to seeds/exchange_rates.csv and seeds/unit_values.csv.
create macro usd(amount, currency, happened_at) as
    amount * case currency when 'USD' then 1.0 when 'EUR' then 1.08
        when 'GBP' then case when happened_at < timestamp '2026-05-01' then 1.26 else 1.29 end end;
create macro lead_value(cell, amount) as
    case cell when 'tp' then -18 + 0.22 * amount when 'fp' then -18.0
        when 'fn' then -0.05 * amount when 'tn' then 0.0 end;
create macro fraud_value(cell, amount) as
    case cell when 'tp' then -6 + 0.9 * amount when 'fp' then -9.0
        when 'fn' then -15 - 1.0 * amount when 'tn' then 0.0 end;
create macro offer_value(cell, amount) as
    case cell when 'tp' then 0.40 + 0.12 * amount when 'fp' then -0.03 + 0.12 * amount end;

-- Decisions to make, and the hours they fall into. A list of offers is one tick of three decisions.
create table volumes as
with shares as (
    select
        getvariable('predictions')::bigint as predictions,
        round(getvariable('predictions') * 0.2)::bigint as leads,
        round(getvariable('predictions') * 0.1)::bigint as lists,
        round(getvariable('predictions') * 0.1)::bigint as forecasts
)
select 'lead_scoring' as model_id, leads as ticks from shares
union all
select 'fraud_detection', predictions - leads - 3 * lists - forecasts from shares
union all
select 'next_best_offer', lists from shares
union all
select 'demand_forecast', forecasts from shares;

create table ticks as
with hours as (
    select
        model_id, ticks, slot_start, hour(slot_start) as hour, isodow(slot_start) > 5 as is_weekend
    from volumes,
        unnest(generate_series(
            getvariable('first_day'), getvariable('as_of') - to_hours(1), to_hours(1)
        )) as slots(slot_start)
),

weighted as (
    -- Whole-number weights add up to the same total in any order.
    select *, round(1000 * case model_id
        when 'lead_scoring'
            then if(is_weekend, 0.1, 1) * if(hour between 7 and 17, 1, 0.05)
        when 'fraud_detection'
            then if(is_weekend, 1.1, 1) * (1 + 0.7 * sin(pi() * (hour - 8) / 12))
        when 'demand_forecast' then if(hour between 4 and 6, 1, 0.02)
        else if(is_weekend, 1.3, 1) * (1 + 0.9 * sin(pi() * (hour - 12) / 12))
    end)::hugeint as weight
    from hours
),

counted as (
    select *,
        (ticks * sum(weight) over upto) // sum(weight) over whole as until_tick,
        (ticks * (sum(weight) over upto - weight)) // sum(weight) over whole as from_tick
    from weighted
    window whole as (partition by model_id),
        upto as (partition by model_id order by slot_start rows unbounded preceding)
),

placed as (
    select model_id, slot_start, from_tick, until_tick - from_tick as slot_ticks,
        unnest(range((until_tick - from_tick)::bigint)) as place
    from (from counted order by model_id, slot_start)
)

select
    model_id,
    (from_tick + place)::bigint as i,
    -- Rising within the hour, with room of 5 % so that two neighbours never change places.
    slot_start + span_minutes(
        60 * (place + 0.95 * u(model_id || ' tick', from_tick + place)) / slot_ticks
    ) as happened_at
from placed;

-- People in the same few groups for every model; the oldest are about 2 %.
create macro age_band(x) as
    case when x < 0.27 then '18-29' when x < 0.66 then '30-44' when x < 0.98 then '45-64'
        else '65+' end;
create macro gender(x) as
    case when x < 0.485 then 'female' when x < 0.97 then 'male' else 'not_stated' end;
create macro device(x) as
    case when x < 0.5 then 'desktop' when x < 0.92 then 'mobile' else 'tablet' end;
create macro region(x) as
    case when x < 0.45 then 'americas' when x < 0.82 then 'emea' else 'apac' end;
create macro currency(x) as
    case when x < 0.66 then 'USD' when x < 0.93 then 'EUR' when x < 0.997 then 'GBP' else 'CHF' end;
