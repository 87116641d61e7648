-- One row per open problem: what holds since when, what explains it, whose it is and what is to be done.
with history as (

    select * from {{ ref('fct_alert_history') }}
    where status <> 'closed'

),

causes as (

    select * from {{ ref('int_alert_causes') }}

),

rules as (

    select * from {{ ref('cfg_alert_rules') }}

),

explained as (

    select
        history.*,
        rules.tier,
        rules.condition,
        rules.owner,
        rules.corrective_action,
        rules.playbook,
        rules.sla_hours,
        rules.cooldown_days,
        causes.cause_kind,
        causes.cause,
        causes.cause_date,
        coalesce(causes.incident_key, history.model_id || ' ' || history.metric) as incident_key,
        case history.metric when 'freshness' then 1 when 'input_health' then 2 when 'drift' then 3 when 'causal_chain' then 4 else 5 end
            as distance
    from history
    inner join rules on history.rule_id = rules.rule_id
    left join causes
        on history.alert_key = causes.alert_key
        and history.opened_date = causes.opened_date

),

-- of what has one cause, or else is of one metric, the alert that opened first holds the others while it is open
rooted as (

    select
        *,
        {%- for name in ['alert_key', 'status', 'acted_at'] %}
        first_value({{ name }}) over (
            partition by incident_key order by opened_date nulls last, distance nulls last, alert_key nulls last
        ) as root_{{ name }},
        {%- endfor %}
        count(*) over (partition by incident_key) as incident_count,
        {{ alert_severity('sla_hours') }} as severity,
        -- until somebody has acted
        case when status = 'open' then sla_hours - {{ dbt.datediff('raised_at', as_of(), 'hour') }} end as hours_left -- noqa: LT05
    from explained

),

-- who acts on the root acts on what it holds by then; but nobody knows since when checks of the input fail, so that they are held within
-- their cooldown, and as long as the root is put off
held as (

    select
        *,
        case
            when root_status = 'open' then false
            when metric = 'input_health'
                then
                    root_status = 'suppressed'
                    or coalesce({{ dbt.datediff('cast(root_acted_at as date)', 'opened_date', 'day') }} <= cooldown_days, false) -- noqa: LT05
            else coalesce(raised_at <= root_acted_at, false)
        end as is_held
    from rooted

),

pressing as (

    select
        *,
        case when status = 'open' and not is_held then sla_hours end as pressing_hours
    from held

),

-- an incident needs the haste of the most urgent alert in it that nobody acted on
urgent as (

    select
        *,
        min(pressing_hours) over (partition by incident_key) as least_sla_hours,
        min(case when pressing_hours is not null then hours_left end) over (partition by incident_key) as least_hours_left
    from pressing

),

hastened as (

    select
        *,
        case
            when alert_key = root_alert_key then {{ alert_severity('least(sla_hours, coalesce(least_sla_hours, sla_hours))') }}
            else severity
        end as incident_severity,
        min(case when pressing_hours is not null and severity = {{ alert_severity('least_sla_hours') }} then raised_at end)
            over (partition by incident_key) as hastened_at
    from urgent

),

alerts as (

    select
        alert_key,
        rule_id,
        model_id,
        metric,
        segment_name,
        segment_value,
        tier,
        severity,
        incident_severity,
        status,
        period,
        condition,
        fault,
        owner,
        corrective_action,
        playbook,
        cause_kind,
        cause,
        case when alert_key <> root_alert_key then root_alert_key end as parent_alert_key,
        last_action,
        acted_by,
        note,
        value,
        value_low,
        value_high,
        measured,
        bound,
        opening_value,
        opening_bound,
        breach_days_count,
        return_count,
        cast(case when alert_key = root_alert_key then incident_count - 1 else 0 end as bigint) as child_count,
        cast(sla_hours as bigint) as sla_hours,
        cast(hours_left as bigint) as hours_left,
        cast(
            case
                when alert_key = root_alert_key and (status = 'open' or incident_severity <> severity) then least_hours_left
                else hours_left
            end as bigint
        ) as incident_hours_left,
        alert_key = root_alert_key as is_root,
        case when value_low < value_high then true end as is_beyond_noise,
        first_date,
        opened_date,
        cause_date,
        raised_at,
        case when incident_severity <> severity then hastened_at end as hastened_at,
        acted_at,
        snoozed_until
    from hastened

)

select * from alerts
