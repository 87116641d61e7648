-- One row per model, theme and period: how often it was asked for, and how many of the requests a release answered.
with requests as (

    select * from {{ ref('fct_requests') }}
    where request_date < {{ as_of_date() }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

spread as (

    select
        requests.*,
        'month' as period,
        dates.month_start_date as period_start_date,
        cast({{ dbt.last_day('dates.month_start_date', 'month') }} as date) as period_end_date
    from requests
    inner join dates on requests.request_date = dates.date_day
    union all
    select
        requests.*,
        'all' as period,
        min(requests.request_date) over (partition by requests.model_id) as period_start_date,
        cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date) as period_end_date
    from requests

),

-- an answer with several themes is one request for each, and one in total
totals as (

    select
        response_id,
        model_id,
        period,
        max(case when is_answered then 1 else 0 end) = 1 as is_answered,
        max(case when is_asked_since then 1 else 0 end) = 1 as is_asked_since,
        period_start_date,
        period_end_date
    from spread
    group by response_id, model_id, period, period_start_date, period_end_date

),

counted as (

    select
        model_id,
        'all' as theme,
        period,
        cast(null as {{ dbt.type_string() }}) as owner,
        count(*) as request_count,
        count(case when is_answered then 1 end) as answered_count,
        count(case when is_asked_since then 1 end) as asked_since_count,
        period_start_date,
        period_end_date,
        cast(null as timestamp) as released_at
    from totals
    group by model_id, period, period_start_date, period_end_date
    union all
    select
        model_id,
        theme,
        period,
        min(owner) as owner,
        count(*) as request_count,
        count(case when is_answered then 1 end) as answered_count,
        count(case when is_asked_since then 1 end) as asked_since_count,
        period_start_date,
        period_end_date,
        min(released_at) as released_at
    from spread
    group by model_id, theme, period, period_start_date, period_end_date

),

reasoned as (

    select
        *,
        max(case when theme = 'all' then request_count end) over (partition by model_id, period, period_end_date) as answer_count,
        case
            when period_end_date >= {{ as_of_date() }} then 'partial_window'
            when
                max(case when theme = 'all' then request_count end) over (partition by model_id, period, period_end_date)
                < {{ setting('minimum_cell') }}
                then 'too_few_units'
        end as reason
    from counted

),

shown as (

    select
        model_id,
        theme,
        period,
        owner,
        reason,
        case when reason is null or theme = 'all' then request_count end as request_count,
        {%- for name in ['answered_count', 'asked_since_count'] %}
        case when reason is null then {{ name }} end as {{ name }},
        {%- endfor %}
        case when reason is null then {{ safe_ratio('request_count', 'answer_count') }} end as request_share,
        case when reason is null then {{ safe_ratio('answered_count', 'request_count') }} end as answered_share,
        period_start_date,
        period_end_date,
        released_at
    from reasoned

)

select * from shown
