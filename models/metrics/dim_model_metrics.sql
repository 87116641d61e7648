-- One row per governed model and metric that is read for it.
{%- set last_day = 'cast(' ~ dbt.dateadd('day', -1, as_of_date()) ~ ' as date)' %}
{%- set sources = metric_sources() if execute else [{'metric': ''}] %}
with models as (

    select * from {{ ref('dim_models') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

exceptions as (

    select * from {{ ref('cfg_model_metrics') }}

),

targets as (

    select * from {{ ref('cfg_metric_targets') }}

),

metric_days as (

    select * from {{ ref('fct_metrics') }}
    where segment_name = 'all' and metric_date < {{ as_of_date() }}

),

brick_days as (

    select * from {{ ref('fct_bricks') }}
    where
        segment_name = 'all'
        and metric_date < {{ as_of_date() }}
        and brick in (
            {%- for name in (event_bricks() if execute else ['']) %}
            '{{ name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )

),

watermarks as (

    select * from {{ ref('int_watermarks') }}

),

metric_sources as (

    {{ literal_rows(sources, ['metric', 'source_name']) }}

),

-- a metric of a table that the settings leave out is not waited for
left_out as (

    select distinct
        metric,
        true as is_left_out
    from metric_sources
    where
        source_name in (
            ''
            {%- for name in (sources_left_out() if execute else []) %},
            '{{ name }}'
            {%- endfor %}
        )

),

first_days as (

    select
        model_id,
        min(metric_date) as first_date
    from brick_days
    group by model_id

),

-- what another measure kept says nothing of a metric; a metric over two facts needs rows of both, or it would read zero or nothing
measured as (

    select
        metric_days.model_id,
        metric_days.metric
    from metric_days
    inner join metrics on metric_days.metric = metrics.metric
    group by metric_days.model_id, metric_days.metric
    having
        max(case
            when metric_days.numerator <> 0 then 1
            when metrics.is_cross_fact then 0
            when metric_days.unit_count > 0 or metric_days.excluded_count <> 0 then 1
            else 0
        end) = 1
        and max(case when not metrics.is_cross_fact or metric_days.denominator <> 0 then 1 else 0 end) = 1

),

targeted as (

    select distinct
        models.model_id,
        targets.metric
    from targets
    inner join models on targets.model_id in (models.model_id, '*')
    where {{ valid_at('targets', as_of_date()) }}

),

read_metrics as (

    select
        models.model_id,
        metrics.metric,
        coalesce(
            exceptions.role,
            case
                when metrics.tier = 'core' then 'headline'
                when targeted.metric is not null then 'judged'
                else 'watched'
            end
        ) as role,
        coalesce(
            exceptions.direction,
            case
                when not metrics.follows_label or models.label_is = 'gain' then metrics.direction
                when models.label_is = 'neutral' then 'none'
                when metrics.direction = 'up' then 'down'
                else 'up'
            end
        ) as direction,
        coalesce(exceptions.rationale, metrics.rationale) as rationale,
        coalesce(exceptions.owner, metrics.owner) as owner,
        first_days.first_date,
        case
            when metrics.known_after = 'label' then {{ last_matured_date('models') }}
            else {{ last_day }}
        end as matured_through
    from models
    inner join metrics on ', ' || metrics.tasks || ',' like '%, ' || models.task || ',%'
    inner join measured
        on models.model_id = measured.model_id
        and metrics.metric = measured.metric
    inner join first_days on models.model_id = first_days.model_id
    left join left_out on metrics.metric = left_out.metric
    left join exceptions
        on models.model_id = exceptions.model_id
        and metrics.metric = exceptions.metric
    left join targeted
        on models.model_id = targeted.model_id
        and metrics.metric = targeted.metric
    where
        coalesce(exceptions.role, '') <> 'not_read'
        and ({{ read_conditions() if execute else 'true' }})
        and not coalesce(left_out.is_left_out, false)

),

waits as (

    select
        read_metrics.model_id,
        read_metrics.metric,
        watermarks.source_name,
        watermarks.known_from,
        watermarks.known_through,
        row_number() over (
            partition by read_metrics.model_id, read_metrics.metric
            order by watermarks.known_through, watermarks.source_name
        ) as place
    from read_metrics
    inner join metric_sources on read_metrics.metric = metric_sources.metric
    inner join watermarks
        on read_metrics.model_id = watermarks.model_id
        and metric_sources.source_name = watermarks.source_name

),

deliveries as (

    select
        model_id,
        metric,
        min(known_from) as partly_known_from,
        max(known_from) as known_from,
        min(known_through) as delivered_through,
        max(case when place = 1 then source_name end) as waits_for
    from waits
    group by model_id, metric

),

model_metrics as (

    select
        read_metrics.model_id,
        read_metrics.metric,
        read_metrics.role,
        read_metrics.direction,
        read_metrics.rationale,
        read_metrics.owner,
        deliveries.waits_for,
        read_metrics.first_date,
        coalesce(deliveries.partly_known_from, read_metrics.first_date) as partly_known_from,
        coalesce(deliveries.known_from, read_metrics.first_date) as known_from,
        coalesce(deliveries.delivered_through, {{ last_day }}) as delivered_through,
        read_metrics.matured_through,
        least(coalesce(deliveries.delivered_through, {{ last_day }}), read_metrics.matured_through) as known_through
    from read_metrics
    left join deliveries
        on read_metrics.model_id = deliveries.model_id
        and read_metrics.metric = deliveries.metric

)

select * from model_metrics
