-- One row per alert that something upstream explains: what, and what that comes from.
{%- set sources = metric_sources() if execute else [{'metric': ''}] %}
with alerts as (

    select * from {{ ref('fct_alert_history') }}

),

late_days as (

    select * from {{ ref('int_late_days') }}
    where late_days > 0

),

releases as (

    select * from {{ ref('fct_releases') }}
    where event_type = 'deployed' and event_at <= {{ as_of() }}

),

annotations as (

    select * from {{ ref('dim_annotations') }}
    where kind not in ('release', 'postmortem') and annotation_date < {{ as_of_date() }}

),

drift as (

    select * from {{ ref('int_drift_verdicts') }}
    where model_version = 'all' and feature_role = 'input' and period = 'week' and status = 'drift'

),

links as (

    select * from {{ ref('int_chain_links') }}
    where status = 'broken'

),

models as (

    select * from {{ ref('dim_models') }}

),

metric_sources as (

    {{ literal_rows(sources, ['metric', 'source_name']) }}

),

-- a drift or a break begins where there was none in the two weeks before
drift_weeks as (

    select
        *,
        lag(period_start_date) over (partition by model_id, feature order by period_start_date nulls last) as earlier_date
    from drift

),

broken_weeks as (

    select
        *,
        lag(week_start_date) over (partition by model_id, link order by week_start_date nulls last) as earlier_date
    from links

),

-- of those that break in a week the first is what the others come from
new_breaks as (

    select
        *,
        row_number() over (partition by model_id, week_start_date order by link_number nulls last) as place
    from broken_weeks
    where earlier_date is null or {{ dbt.datediff('earlier_date', 'week_start_date', 'day') }} > 14 -- noqa: LT05

),

facts as (

    select
        'late_table' as cause_kind,
        model_id as scope,
        source_name as cause,
        min(date_day) as started_date
    from late_days
    group by model_id, source_name
    union all
    select
        'release' as cause_kind,
        model_id as scope,
        model_version as cause,
        event_date as started_date
    from releases
    union all
    select
        'annotation' as cause_kind,
        scope,
        kind || ': ' || title as cause,
        min(annotation_date) as started_date
    from annotations
    group by annotation_id, scope, kind, title
    union all
    select
        'feature' as cause_kind,
        model_id as scope,
        min(feature) as cause,
        period_start_date as started_date
    from drift_weeks
    where earlier_date is null or {{ dbt.datediff('earlier_date', 'period_start_date', 'day') }} > 14 -- noqa: LT05
    group by model_id, period_start_date
    union all
    select
        'broken_link' as cause_kind,
        model_id as scope,
        link as cause,
        week_start_date as started_date
    from new_breaks
    where place = 1

),

known_facts as (

    select
        *,
        cause_kind || ':' || scope || ':' || cause || ':' || cast(started_date as {{ dbt.type_string() }}) as incident_key,
        case cause_kind when 'late_table' then 1 when 'release' then 2 when 'annotation' then 3 when 'feature' then 4 else 5 end as place
    from facts

),

-- a week's drift or break may come from what happened within it, and labels that are late from their table
origins as (

    select
        ours.incident_key,
        theirs.incident_key as origin_key,
        theirs.cause_kind as origin_kind,
        theirs.cause as origin,
        theirs.started_date as origin_date,
        row_number() over (
            partition by ours.incident_key
            order by theirs.started_date desc nulls last, theirs.place asc nulls last, theirs.incident_key asc nulls last
        ) as origin_place
    from known_facts as ours
    inner join known_facts as theirs
        on (
            (ours.place >= 4 and theirs.place between 2 and ours.place - 1 and theirs.scope in (ours.scope, 'all'))
            or (ours.place = 1 and ours.cause in ('labels', 'amounts') and theirs.place = 1 and theirs.cause = 'business_outcomes')
            or (ours.place = 1 and ours.cause = 'amounts' and theirs.place = 1 and theirs.cause = 'money_outcomes')
        )
        and theirs.started_date >= cast({{ dbt.dateadd('day', -14, 'ours.started_date') }} as date)
        and theirs.started_date <= cast({{ dbt.dateadd('day', 6, 'ours.started_date') }} as date)

),

-- a broken link comes from a feature, and that perhaps from a release
traced as (

    select
        known_facts.*,
        coalesce(far_origins.origin_key, near_origins.origin_key, known_facts.incident_key) as origin_key,
        coalesce(far_origins.origin_kind, near_origins.origin_kind, known_facts.cause_kind) as origin_kind,
        coalesce(far_origins.origin, near_origins.origin, known_facts.cause) as origin,
        coalesce(far_origins.origin_date, near_origins.origin_date, known_facts.started_date) as origin_date
    from known_facts
    left join origins as near_origins
        on known_facts.incident_key = near_origins.incident_key
        and near_origins.origin_place = 1
    left join origins as far_origins
        on near_origins.origin_key = far_origins.incident_key
        and far_origins.origin_place = 1

),

-- what they share: the table that is late or whose link is broken, or the decisions of the model
matched as (

    select distinct
        alerts.alert_key,
        alerts.opened_date,
        traced.origin_key,
        traced.origin_kind,
        traced.origin,
        traced.origin_date,
        traced.started_date,
        traced.place,
        traced.incident_key
    from alerts
    inner join traced
        on (
            traced.scope in (alerts.model_id, '(all)')
            or (traced.cause_kind = 'annotation' and traced.scope in ('all', alerts.metric))
        )
        and traced.started_date <= alerts.first_date
        and {{ dbt.datediff('traced.started_date', 'alerts.first_date', 'day') }} <= case when alerts.period = '28d' then 35 else 14 end -- noqa: LT05
    left join metric_sources on alerts.metric = metric_sources.metric
    left join models on alerts.model_id = models.model_id
    where
        case
            when traced.cause_kind = 'annotation' then true
            when alerts.metric = 'freshness' then traced.cause_kind = 'late_table' and traced.cause = alerts.fault
            when alerts.metric = 'input_health' then false
            when traced.cause_kind = 'late_table' then metric_sources.source_name = traced.cause
            when alerts.metric in ('drift', 'causal_chain', 'fairness')
                then traced.cause_kind <> 'broken_link' or alerts.metric = 'causal_chain'
            when traced.cause_kind = 'broken_link' and traced.cause in ('shown', 'acted_on')
                then
                    metric_sources.source_name = 'usage_events'
                    or (metric_sources.source_name = 'labels' and models.outcome_depends_on_action)
            when traced.cause_kind = 'broken_link' and traced.cause in ('outcome', 'value')
                then metric_sources.source_name in ('labels', 'business_outcomes')
            else metric_sources.source_name = 'prediction_logs'
        end

),

nearest as (

    select
        *,
        row_number() over (
            partition by alert_key, opened_date
            order by started_date desc nulls last, place asc nulls last, incident_key asc nulls last
        ) as nearest_place
    from matched

),

causes as (

    select
        alert_key,
        origin_key as incident_key,
        origin_kind as cause_kind,
        origin as cause,
        origin_date as cause_date,
        opened_date
    from nearest
    where nearest_place = 1

)

select * from causes
