-- One row per metric read for a model, version, segment, segment value and period: its sums over the period.
{%- set keys = ['metric', 'model_id', 'model_version', 'segment_name', 'segment_value'] %}
{%- set sums = ['numerator', 'numerator_once', 'denominator', 'weight_squares', 'excluded_count', 'kept_count', 'unit_count'] %}
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

brick_days as (

    select * from {{ ref('fct_bricks') }}
    where metric_date < {{ as_of_date() }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

-- totals and segments over all versions, then each version in total
spread as (

    select
        metric,
        model_id,
        'all' as model_version,
        segment_name,
        segment_value,
        metric_date,
        {{ sums | join(', ') }}
    from metric_days
    union all
    select
        metric,
        model_id,
        model_version,
        segment_name,
        segment_value,
        metric_date,
        {{ sums | join(', ') }}
    from metric_days
    where segment_name = 'all' and model_version <> 'all'

),

daily as (

    select
        {{ keys | join(', ') }},
        {%- for name in sums %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        metric_date
    from spread
    group by {{ keys | join(', ') }}, metric_date

),

cells as (

    select distinct
        model_id,
        'all' as model_version,
        segment_name,
        segment_value
    from brick_days
    union
    select distinct
        model_id,
        model_version,
        'all' as segment_name,
        'all' as segment_value
    from brick_days
    where model_version <> 'all'

),

series as (

    select
        model_metrics.metric,
        model_metrics.model_id,
        cells.model_version,
        cells.segment_name,
        cells.segment_value,
        model_metrics.first_date,
        spans.judged_through,
        cells.segment_name = 'all' and cells.model_version = 'all' as is_total
    from model_metrics
    inner join metrics on model_metrics.metric = metrics.metric
    inner join cells on model_metrics.model_id = cells.model_id
    inner join spans on model_metrics.model_id = spans.model_id
    where
        (cells.segment_name = 'all' or ', ' || metrics.segments || ',' like '%, ' || cells.segment_name || ',%')
        and (cells.model_version = 'all' or metrics.is_versioned)

),

{{ period_ctes(keys, sums) }},

metric_periods as (

    select * from periods

)

select * from metric_periods
