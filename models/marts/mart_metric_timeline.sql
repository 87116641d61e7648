-- One row per metric, model, segment, segment value and complete day, over all versions of the model.
{%- set windows = {'': 0, '_7d': 6, '_28d': 27} %}
{%- set series = ['metric', 'model_id', 'segment_name', 'segment_value'] %}
{%- set cell = ['metric', 'model_id', 'segment_name', 'metric_date'] %}
with metric_days as (

    select * from {{ ref('fct_metrics') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

annotation_days as (

    select * from {{ ref('dim_annotations') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

measurable as (

    {{ measurable_metrics() }}

),

measured_days as (

    select metric_days.*
    from metric_days
    inner join measurable
        on metric_days.metric = measurable.metric
        and metric_days.model_id = measurable.model_id
    where metric_days.is_additive

),

daily as (

    select
        {{ series | join(', ') }},
        metric_date,
        sum(numerator) as numerator,
        sum(denominator) as denominator,
        sum(excluded_count) as excluded_count,
        sum(unit_count) as unit_count
    from measured_days
    group by {{ series | join(', ') }}, metric_date

),

spans as (

    select
        {{ series | join(', ') }},
        max(case when denominator is null then 0 else 1 end) as has_denominator,
        min(metric_date) as first_date,
        cast({{ dbt.dateadd('day', 27, 'max(metric_date)') }} as date) as last_date
    from daily
    group by {{ series | join(', ') }}

),

series_days as (

    select
        spans.metric,
        spans.model_id,
        spans.segment_name,
        spans.segment_value,
        spans.has_denominator,
        dates.date_day as metric_date
    from spans
    inner join dates
        on spans.first_date <= dates.date_day
        and spans.last_date >= dates.date_day
    where dates.is_complete

),

dense as (

    select
        series_days.*,
        daily.excluded_count,
        coalesce(daily.numerator, 0) as numerator,
        case when series_days.has_denominator = 1 then coalesce(daily.denominator, 0) end as denominator,
        coalesce(daily.unit_count, 0) as unit_count
    from series_days
    left join daily
        on series_days.metric = daily.metric
        and series_days.model_id = daily.model_id
        and series_days.segment_name = daily.segment_name
        and series_days.segment_value = daily.segment_value
        and series_days.metric_date = daily.metric_date

),

rolling as (

    select
        {{ series | join(', ') }},
        metric_date,
        {%- for suffix, days_before in windows.items() %}
        {%- for column in ['numerator', 'denominator', 'unit_count'] %}
        sum({{ column }}) over (
            partition by {{ series | join(', ') }}
            order by metric_date nulls last
            rows between {{ days_before }} preceding and current row
        ) as {{ column }}{{ suffix }},
        {%- endfor %}
        {%- endfor %}
        excluded_count
    from dense

),

classed as (

    select
        {%- for suffix in windows %}
        {{ size_class('unit_count' ~ suffix) }} as size_class{{ suffix }},
        {%- endfor %}
        *
    from rolling

),

counted as (

    select
        {%- for suffix in windows %}
        {{ small_cells('size_class' ~ suffix, cell) }} as small_cells{{ suffix }},
        {{ size_rank('size_class' ~ suffix, 'unit_count' ~ suffix, cell) }} as size_rank{{ suffix }},
        {%- endfor %}
        *
    from classed

),

flagged as (

    select
        {%- for suffix in windows %}
        {{ is_suppressed('size_class' ~ suffix, 'small_cells' ~ suffix, 'size_rank' ~ suffix) }} as is_suppressed{{ suffix }},
        {%- endfor %}
        *
    from counted

),

series_names as (

    select distinct metric, model_id from daily

),

annotated as (

    select
        series_names.metric,
        series_names.model_id,
        annotation_days.annotation_date,
        {{ ordered_list(
            'annotation_days.title', '; ', ['annotation_days.effective_from', 'annotation_days.annotation_id']
        ) }} as annotations
    from series_names
    inner join annotation_days
        on annotation_days.scope in ('all', series_names.model_id, series_names.metric)
    group by series_names.metric, series_names.model_id, annotation_days.annotation_date

),

timeline as (

    select
        flagged.metric,
        flagged.model_id,
        flagged.segment_name,
        flagged.segment_value,
        annotated.annotations,
        case when not flagged.is_suppressed then flagged.numerator end as numerator,
        case when not flagged.is_suppressed then flagged.denominator end as denominator,
        case when flagged.size_class in ('total', 'large') and not flagged.is_suppressed then flagged.excluded_count end as excluded_count,
        {%- for suffix in windows %}
        case
            when flagged.is_suppressed{{ suffix }} or flagged.unit_count{{ suffix }} < {{ setting('minimum_cell') }} then null
            when metrics.excluded_brick is not null and flagged.metric_date > {{ last_matured_date('models') }} then null
            when flagged.denominator{{ suffix }} is null then flagged.numerator{{ suffix }}
            else {{ safe_ratio('flagged.numerator' ~ suffix, 'flagged.denominator' ~ suffix) }}
        end as value{{ suffix }},
        {%- endfor %}
        {%- for suffix in windows %}
        cast(case when not flagged.is_suppressed{{ suffix }} then flagged.unit_count{{ suffix }} end as bigint) as unit_count{{ suffix }},
        {%- endfor %}
        metrics.excluded_brick is null or flagged.metric_date <= {{ last_matured_date('models') }} as is_matured,
        flagged.is_suppressed or flagged.is_suppressed_7d or flagged.is_suppressed_28d as has_suppressed_values,
        flagged.metric_date
    from flagged
    inner join metrics on flagged.metric = metrics.metric
    inner join models on flagged.model_id = models.model_id
    left join annotated
        on flagged.metric = annotated.metric
        and flagged.model_id = annotated.model_id
        and flagged.metric_date = annotated.annotation_date

)

select * from timeline
