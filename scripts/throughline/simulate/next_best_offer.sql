-- Next best offer: a customer who opens the shop sees a list of three ranked offers.

-- A customer comes about every 20 days, some much more often.
set variable customers = (
    select greatest(10, 20 * ticks // getvariable('days')) from volumes
    where model_id = 'next_best_offer'
);

create table lists as
select
    i as list,
    happened_at,
    floor(getvariable('customers') * u('customer', i) ** 1.5)::int as customer,
    i % 400 <> 17 as is_prod
from ticks where model_id = 'next_best_offer';

create table offer_units as
select
    trial.experiment_id,
    lists.customer,
    variant(trial.experiment_id, lists.customer) as variant,
    min(lists.happened_at) as exposed_at
from lists
join experiments as trial
    on lists.happened_at >= trial.starts_at and lists.happened_at < trial.ends_at
where trial.model_id = 'next_best_offer' and lists.is_prod
group by all;

create table offers as
with treatments as (
    select customer, exposed_at, exposed_at + to_days(window_days) as treated_to, 1 + lift as effect
    from offer_units
    join experiments using (experiment_id)
    where lift <> 0 and variant = 'treatment'
),

treated as (
    -- No two trials treat a customer at one time.
    select lists.*, coalesce(treatments.effect, 1) as effect
    from lists
    left join treatments
        on lists.customer = treatments.customer
        and lists.happened_at >= treatments.exposed_at and lists.happened_at < treatments.treated_to
),

ranked as (
    select *, unnest([1, 2, 3])::int as rank_position
    from treated
),

described as (
    select *,
        3 * list + rank_position - 1 as i,
        exp(0.35 * normal('customer taste', customer)) as taste,
        u('offer explored', 3 * list + rank_position) < 0.1 as is_explored,
        [1.4, 0.95, 0.65][rank_position] as position_effect
    from ranked
),

accepted as (
    select *,
        is_prod and u('offer accepted', i) < 0.10 * taste * position_effect * effect
            * if(is_explored, 0.7, 1) * if(is_bad_release(happened_at), 0.45, 1) as is_accepted
    from described
),

redeemed as (
    select *,
        is_prod and u('offer redeemed', i) < if(is_accepted, 0.8, 0.01 * effect) as is_redeemed
    from accepted
)

select
    i, list, customer, rank_position, is_prod, is_explored, is_accepted,
    -- Items of one list follow each other by a millisecond, so that one of them is the latest.
    happened_at + to_milliseconds(rank_position - 1) as happened_at,
    round(least(0.99, 0.10 * taste * position_effect * exp(0.12 * normal('offer score', i))), 4)
        as score,
    case when is_accepted then 'accepted'
        when is_prod and u('offer dismissed', i) < 0.05 then 'dismissed' end as action,
    if(is_prod, happened_at + to_milliseconds(300 + 100 * rank_position), null) as shown_at,
    null::timestamp as viewed_at,
    if(is_accepted or (is_prod and u('offer dismissed', i) < 0.05),
        happened_at + span_minutes(0.1 + 9 * u('offer time', i)), null) as acted_at,
    if(is_redeemed, happened_at + span_days(0.01 + 6.4 * u('offer lag', i) ** 2), null)
        as redeemed_at,
    if(is_redeemed,
        happened_at + span_days(0.01 + 6.4 * u('offer lag', i) ** 2 + 0.4 * u('offer known', i)),
        null) as redeemed_observed_at
from redeemed
order by list, rank_position;

-- Most redeemed offers end in an order; customers also order without one. Order numbers: twice
-- the offer, or twice the list plus one.
create table orders as
with placed as (
    select
        2 * i as order_number, customer,
        redeemed_at + span_minutes(1 + 90 * u('order time', 2 * i)) as happened_at
    from offers
    where redeemed_at is not null and u('offer ordered', i) < 0.7
    union all
    select
        2 * list + 1, customer,
        happened_at + span_days(0.01 + 12 * u('order time', 2 * list + 1))
    from lists
    where u('organic order', list) < 0.06
)

select
    order_number, customer, happened_at,
    happened_at + span_minutes(30 * u('order known', order_number)) as observed_at,
    round(exp(3.7 + 0.6 * normal('order amount', order_number)), 2) as amount,
    currency(u('order currency', order_number)) as currency
from placed;
