-- One row per governed model: what it earns, how sure that is, how its targets stand, what is open, and what to do next.
{%- set poor = ['breached', 'off_target', 'behind'] %}
with models as (

    select * from {{ ref('dim_models') }}

),

scorecard as (

    select * from {{ ref('mart_scorecard') }}
    where segment_name = 'all'

),

money as (

    select * from scorecard
    where metric = 'value_of_decisions'

),

months as (

    select
        model_id,
        month_start_date,
        net_value_amount,
        row_number() over (partition by model_id order by month_start_date desc) as newness
    from {{ ref('mart_value_ledger') }}
    where net_value_amount is not null

),

evidence as (

    select
        model_id,
        min(grade) as evidence_grade
    from {{ ref('mart_value_evidence') }}
    group by model_id

),

target_counts as (

    select
        model_id,
        sum(case when status in ('on_target', 'on_the_way') then 1 else 0 end) as well_count,
        sum(
            case when status in ('{{ poor | join("', '") }}') then 1 else 0 end
        ) as poor_count,
        sum(case when status = 'not_ready' then 1 else 0 end) as not_ready_count
    from scorecard
    group by model_id

),

open_alerts as (

    select
        *,
        count(*) over (partition by model_id) as open_alert_count,
        row_number() over (
            partition by model_id
            -- critical, major and minor stand in this order in the alphabet too
            order by is_root desc, incident_severity asc, sla_hours asc, opened_date asc, alert_key asc
        ) as place
    from {{ ref('mart_alerts') }}

),

gaps as (

    select
        *,
        row_number() over (
            partition by model_id
            order by
                case status
                    {%- for status in poor %}
                    when '{{ status }}' then {{ loop.index }}
                    {%- endfor %}
                end asc,
                case role when 'headline' then 1 else 2 end asc,
                weight desc,
                metric asc
        ) as place
    from scorecard
    where status in ('{{ poor | join("', '") }}')

),

overview as (

    select
        models.model_id,
        models.model_name,
        models.product,
        models.team,
        models.owner,
        models.task,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        case when money.model_id is null then 'not_valued' else money.not_ready_reason end as value_reason,
        evidence.evidence_grade,
        coalesce(gaps.status, case when target_counts.well_count > 0 then 'on_target' else 'no_target' end) as status,
        gaps.metric as status_metric,
        open_alerts.metric as alert_metric,
        open_alerts.incident_severity as alert_severity,
        case when open_alerts.playbook is not null then open_alerts.metric else gaps.metric end as next_step_metric,
        coalesce(open_alerts.playbook, gaps.next_step) as next_step,
        money.value as value_amount,
        money.previous_value as previous_value_amount,
        months.net_value_amount as net_month_amount,
        cast(coalesce(target_counts.well_count, 0) as bigint) as well_count,
        cast(coalesce(target_counts.poor_count, 0) as bigint) as poor_count,
        cast(coalesce(target_counts.not_ready_count, 0) as bigint) as not_ready_count,
        cast(coalesce(open_alerts.open_alert_count, 0) as bigint) as open_alert_count,
        money.window_end_date as value_through_date,
        months.month_start_date as net_month_start_date,
        {{ as_of_date() }} as as_of
    from models
    left join money on models.model_id = money.model_id
    left join months on models.model_id = months.model_id and months.newness = 1
    left join evidence on models.model_id = evidence.model_id
    left join target_counts on models.model_id = target_counts.model_id
    left join open_alerts on models.model_id = open_alerts.model_id and open_alerts.place = 1
    left join gaps on models.model_id = gaps.model_id and gaps.place = 1

)

select * from overview
