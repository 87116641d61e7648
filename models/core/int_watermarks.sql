-- One row per model and source: the first and the last day that its deliveries cover.
{%- set last_day = 'cast(' ~ dbt.dateadd('day', -1, as_of_date()) ~ ' as date)' %}
with models as (

    select * from {{ ref('dim_models') }}

),

decisions as (

    select * from {{ ref('fct_decisions') }}

),

usage_events as (

    select * from {{ ref('stg_usage_events') }}

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}

),

eligibility as (

    select * from {{ ref('stg_eligible_users') }}

),

outcome_kinds as (

    select * from {{ ref('cfg_outcome_kinds') }}

),

unit_values as (

    select * from {{ ref('cfg_unit_values') }}

),

costs as (

    select * from {{ ref('stg_serving_costs') }}

),

credited_outcomes as (

    select * from {{ ref('fct_outcomes') }}

),

model_starts as (

    select
        model_id,
        min(decision_date) as first_date
    from decisions
    group by model_id

),

feeds as (

    select
        'prediction_logs' as source_name,
        cast(null as date) as first_date,
        max(predicted_at) as last_at
    from decisions
    where predicted_at <= {{ as_of() }}
    union all
    select
        'usage_events' as source_name,
        cast(min(occurred_at) as date) as first_date,
        max(occurred_at) as last_at
    from usage_events
    where occurred_at <= {{ as_of() }}
    union all
    select
        'business_outcomes' as source_name,
        cast(null as date) as first_date,
        max(occurred_at) as last_at
    from outcomes
    where occurred_at <= {{ as_of() }}
    union all
    -- a list that does not change is delivered again with its old dates
    select
        'eligible_users' as source_name,
        cast(min(eligible_from) as date) as first_date,
        max(greatest(loaded_at, eligible_from)) as last_at
    from eligibility
    where eligible_from <= {{ as_of() }}

),

-- predictions and outcomes count for a model from its first decision on, usage and lists from their own beginning
fed as (

    select
        models.model_id,
        feeds.source_name,
        coalesce(feeds.first_date, model_starts.first_date) as known_from,
        {{ known_through('feeds.last_at', late_after_days(), last_day) }} as known_through
    from models
    cross join feeds
    left join model_starts on models.model_id = model_starts.model_id
    where feeds.last_at is not null

),

outcome_names as (

    select
        outcomes.outcome_name,
        {{ outcome_kind('max(outcome_kinds.kind)', 'outcomes.outcome_name') }} as outcome_kind,
        max(outcomes.occurred_at) as last_at,
        {{ outcome_rhythm() }}
    from outcomes
    left join outcome_kinds on outcomes.outcome_name = outcome_kinds.outcome_name
    where greatest(outcomes.occurred_at, outcomes.observed_at) <= {{ as_of() }}
    group by outcomes.outcome_name

),

-- a name is late beside others: where the whole table is, its own watermark says so
judged_outcome_names as (

    select
        outcome_name,
        outcome_kind,
        case
            when silent_days <= greatest({{ late_after_days('business_outcomes') }}, 5 * usual_days) then {{ last_day }}
            else cast({{ dbt.dateadd('day', -1, 'cast(last_at as date)') }} as date)
        end as known_through,
        {{ outcome_has_ended() }} as has_ended
    from outcome_names
    where has_rhythm

),

-- one name of a kind may stop while others go on; where all have ended, the one that ended last decides
kinds_fed as (

    select
        outcome_kind || '_outcomes' as source_name,
        coalesce(min(case when not has_ended then known_through end), max(known_through)) as known_through
    from judged_outcome_names
    -- no metric counts these
    where outcome_kind not in ('other', 'quantity')
    group by outcome_kind

),

outcomes_fed as (

    select
        model_starts.model_id,
        kinds_fed.source_name,
        model_starts.first_date as known_from,
        kinds_fed.known_through
    from model_starts
    cross join kinds_fed

),

-- decisions wait for the amounts of their horizon, as they do for labels
amounts_fed as (

    select
        models.model_id,
        'amounts' as source_name,
        model_starts.first_date as known_from,
        case
            when names.known_through >= {{ last_day }} then {{ last_day }}
            else cast({{ dbt.dateadd('day', '-(models.horizon_days + models.label_delay_days)', 'names.known_through') }} as date)
        end as known_through
    from models
    inner join model_starts on models.model_id = model_starts.model_id
    inner join judged_outcome_names as names on models.amount_outcome = names.outcome_name
    where
        models.amount_outcome <> models.label_outcome
        and models.model_id in (select unit_values.model_id from unit_values where unit_values.amount_coefficient <> 0)

),

-- a label may become known long after it happened, so the feed lives as long as something becomes known
label_feeds as (

    select
        models.model_id,
        max(credited_outcomes.observed_at) as last_at
    from models
    inner join credited_outcomes
        on models.model_id = credited_outcomes.model_id
        and models.label_outcome = credited_outcomes.outcome_name
    where credited_outcomes.observed_at <= {{ as_of() }}
    group by models.model_id

),

labelled as (

    select
        models.model_id,
        'labels' as source_name,
        model_starts.first_date as known_from,
        case
            -- no label can have been due yet
            when {{ last_matured_date('models') }} < model_starts.first_date then {{ last_day }}
            when label_feeds.last_at is null then cast({{ dbt.dateadd('day', -1, 'model_starts.first_date') }} as date)
            when {{ is_on_time('label_feeds.last_at', late_after_days('business_outcomes')) }} then {{ last_day }}
            else cast({{ dbt.dateadd(
                'day', '-1 - models.horizon_days - models.label_delay_days', 'cast(label_feeds.last_at as date)'
            ) }} as date)
        end as known_through
    from models
    inner join model_starts on models.model_id = model_starts.model_id
    left join label_feeds on models.model_id = label_feeds.model_id

),

cost_types as (

    select
        model_id,
        cost_type,
        min(period_start) as first_at,
        max(period_end) as last_at,
        avg({{ dbt.datediff('period_start', 'period_end', 'day') }}) as usual_days
    from costs
    group by model_id, cost_type

),

judged_cost_types as (

    select
        *,
        -- a period that ends at 23:59:59 ends with its day
        cast({{ dbt.dateadd('day', -1, 'cast(' ~ dbt.dateadd('second', 1, 'last_at') ~ ' as date)') }} as date) as known_through,
        cost_type in {{ one_off_costs() }} as is_one_off,
        {{ has_ended('last_at', 'usual_days') }} as has_ended -- noqa: LT05
    from cost_types

),

costed as (

    select
        model_id,
        'serving_costs' as source_name,
        cast(min(first_at) as date) as known_from,
        -- the open type that ends first decides; where all have ended, the one that ended last
        coalesce(
            min(case when not is_one_off and not has_ended then known_through end),
            max(case when not is_one_off then known_through end),
            {{ last_day }}
        ) as known_through
    from judged_cost_types
    group by model_id

),

known as (

    select * from fed
    union all
    select * from outcomes_fed
    union all
    select * from amounts_fed
    union all
    select * from labelled
    union all
    select * from costed

),

watermarks as (

    select
        model_id,
        source_name,
        known_from,
        least(known_through, {{ last_day }}) as known_through
    from known

)

select * from watermarks
