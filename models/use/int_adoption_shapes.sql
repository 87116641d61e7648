-- One row per metric of adoption, model, segment, segment value and period: its value on the last day of the period.
{%- set metrics = {
    'weekly_active_users': 'weekly_active_users', 'monthly_active_users': 'monthly_active_users', 'stickiness': 'monthly_active_users',
    'embedded_share': 'eligible_users'
} %}
with adoption_days as (

    select * from {{ ref('int_adoption_days') }}
    where segment_name in ('{{ (['all'] + setting('segments') | select('in', adoption_segments()[:2]) | list) | join("', '") }}')

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

ends as (

    select
        adoption_days.*,
        adoption_days.activity_date = cast({{ dbt.last_day('adoption_days.activity_date', 'month') }} as date) as is_month_end,
        coalesce(adoption_days.activity_date = spans.judged_through, false) as is_judged_through
    from adoption_days
    inner join spans on adoption_days.model_id = spans.model_id

),

period_ends as (

    {% for period, condition in {
        'day': "segment_name = 'all'", '7d': "segment_name = 'all'", '28d': '1 = 1', 'month': 'is_month_end', 'all': 'is_judged_through'
    }.items() -%}
    select
        ends.*,
        '{{ period }}' as period
    from ends
    where {{ condition }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

stated as (

    {% for metric, units in metrics.items() -%}
    select
        '{{ metric }}' as metric,
        model_id,
        segment_name,
        segment_value,
        period,
        activity_date as period_end_date,
        {{ units }} as unit_count,
        cast({{ units }} as {{ type_double() }}) as units,
        {{ 'true' if metric == 'embedded_share' else 'false' }} as is_proportion,
        {% if metric == 'weekly_active_users' -%}
        cast(weekly_active_users as {{ type_double() }}) as number,
        coalesce(use_reason, case when known_days < 7 then 'partial_window' end) as reason
        {%- elif metric == 'monthly_active_users' -%}
        cast(monthly_active_users as {{ type_double() }}) as number,
        window_reason as reason
        {%- elif metric == 'stickiness' -%}
        {{ safe_ratio('active_user_days', '28 * monthly_active_users') }} as number,
        window_reason as reason
        {%- else -%}
        {{ safe_ratio('embedded_users', 'eligible_users') }} as number,
        coalesce(eligibility_reason, window_reason) as reason
        {%- endif %}
    from period_ends
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

adoption_shapes as (

    select
        metric,
        model_id,
        'all' as model_version,
        segment_name,
        segment_value,
        period,
        period_end_date,
        case when reason is null then number end as value,
        case when reason is null and is_proportion and unit_count > 0 then {{ wilson_bound('number', 'units', '-') }} end as value_low,
        case when reason is null and is_proportion and unit_count > 0 then {{ wilson_bound('number', 'units', '+') }} end as value_high,
        unit_count,
        reason
    from stated

)

select * from adoption_shapes
