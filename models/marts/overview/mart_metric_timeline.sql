-- One row per metric, model, segment, segment value and complete day, over all versions of the model.
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where model_version = 'all' and period in ('day', '7d', '28d')

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

annotation_days as (

    select * from {{ ref('dim_annotations') }}

),

definitions as (

    select
        metric,
        cast(in_force_from as date) as changed_date,
        row_number() over (partition by metric order by in_force_from) as place
    from {{ ref('fct_metric_definitions') }}

),

changes as (

    select distinct
        metric,
        changed_date
    from definitions
    where place > 1

),

annotated as (

    select
        model_metrics.metric,
        model_metrics.model_id,
        annotation_days.annotation_date,
        {{ ordered_list(
            'annotation_days.title', '; ', ['annotation_days.effective_from', 'annotation_days.annotation_id']
        ) }} as annotations
    from model_metrics
    inner join annotation_days
        on annotation_days.scope in ('all', model_metrics.model_id, model_metrics.metric)
    group by model_metrics.metric, model_metrics.model_id, annotation_days.annotation_date

),

days as (

    select
        metric,
        model_id,
        segment_name,
        segment_value,
        period_end_date as metric_date,
        {%- for period in ['day', '7d', '28d'] %}
        {%- set suffix = '' if period == 'day' else '_' ~ period %}
        max(case when period = '{{ period }}' then value end) as value{{ suffix }},
        max(case when period = '{{ period }}' then unit_count end) as unit_count{{ suffix }},
        max(case when period = '{{ period }}' then reason end) as reason{{ suffix }},
        {%- endfor %}
        max(case when period = '28d' then value_low end) as value_28d_low,
        max(case when period = '28d' then value_high end) as value_28d_high,
        max(case when period = 'day' then numerator end) as numerator,
        max(case when period = 'day' then denominator end) as denominator,
        max(case when period = 'day' then excluded_count end) as excluded_count
    from metric_values
    group by metric, model_id, segment_name, segment_value, period_end_date

),

timeline as (

    select
        days.metric,
        days.model_id,
        days.segment_name,
        days.segment_value,
        annotated.annotations,
        days.reason,
        days.reason_7d,
        days.reason_28d,
        days.numerator,
        days.denominator,
        days.excluded_count,
        days.value,
        days.value_7d,
        days.value_28d,
        days.value_28d_low,
        days.value_28d_high,
        days.unit_count,
        days.unit_count_7d,
        days.unit_count_28d,
        changes.metric is not null as is_definition_changed,
        days.metric_date
    from days
    left join annotated
        on days.metric = annotated.metric
        and days.model_id = annotated.model_id
        and days.metric_date = annotated.annotation_date
    left join changes
        on days.metric = changes.metric
        and days.metric_date = changes.changed_date

)

select * from timeline
