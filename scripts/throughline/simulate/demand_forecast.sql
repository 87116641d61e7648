-- Demand forecast: every morning planners get the units each article will sell in the next seven days.

-- An article is forecast about once a day.
set variable articles = (
    select greatest(10, ticks // getvariable('days')) from volumes
    where model_id = 'demand_forecast'
);
set variable planners = (
    select greatest(2, ticks // getvariable('days') // 4) from volumes
    where model_id = 'demand_forecast'
);

create table forecasts as
with described as (
    select
        i,
        happened_at,
        floor(getvariable('articles') * u('article', i))::int as article,
        i % 400 <> 17 as is_prod
    from ticks where model_id = 'demand_forecast'
),

sold as (
    select *,
        -- At least 60, so that no planted error makes a forecast negative.
        60 + round(exp(3.6 + 0.5 * normal('article size', article) + 0.3 * normal('sales', i)))
            as units
    from described
),

foretold as (
    select sold.*,
        round(units + planted.bias + planted.spread * normal('forecast error', i), 1) as forecast,
        round(units + planted.planner_spread * normal('planner error', i), 1) as planned_units
    from sold
    join forecast_errors as planted on planted.model_version = forecast_version(happened_at)
),

acted as (
    select *,
        is_prod and u('forecast shown', i) < 0.5 as is_shown,
        -- Planners cut the orders of a release that lies too high.
        case
            when u('planner acts', i) < if(is_biased_release(happened_at), 0.45, 0.6) then 'accepted'
            when u('planner acts', i) < 0.75 then 'edited'
            when u('planner acts', i) < 0.85 then 'overridden'
        end as decided
    from foretold
)

select
    i, happened_at, article, is_prod, units, forecast, planned_units,
    if(is_shown, decided, null) as action,
    floor(u('planner', article) * getvariable('planners'))::int as planner,
    if(is_shown, happened_at + span_minutes(2 + 90 * u('forecast shown', i)), null) as shown_at,
    if(is_shown and (decided is not null or u('planner views', i) < 0.3),
        happened_at + span_minutes(3 + 90 * u('forecast shown', i) + 20 * u('planner views', i)),
        null) as viewed_at,
    if(is_shown and decided is not null,
        happened_at + span_minutes(24 + 90 * u('forecast shown', i) + 40 * u('planner time', i)),
        null) as acted_at,
    -- Stores report the week the day after; some never do.
    if(u('units reported', i) < 0.96, happened_at + to_days(7), null) as sold_at,
    happened_at + span_days(7 + 1.5 * u('units known', i)) as sold_observed_at
from acted
order by i;
