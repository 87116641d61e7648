-- One row per metric: its card, where its number comes from, and whether it is measured, complete and reviewed.
{%- set lineages = metric_lineages() if execute else [{'metric': ''}] %}
with metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

metric_days as (

    select * from {{ ref('fct_metrics') }}
    where segment_name = 'all'

),

brick_days as (

    select * from {{ ref('fct_bricks') }}
    where segment_name = 'all'

),

targets as (

    select * from {{ ref('metric_targets') }}

),

lineages as (

    {{ literal_rows(lineages, ['metric', 'lineage']) }}

),

kept_bricks as (

    {%- for excluded, kept in kept_bricks().items() %}
    select
        '{{ excluded }}' as excluded_brick,
        '{{ kept }}' as kept_brick
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

readings as (

    select
        metrics.metric,
        models.model_id,
        metrics.excluded_brick,
        -- another excluded brick is set against what the metric counts
        coalesce(kept_bricks.kept_brick, metrics.denominator_brick, metrics.numerator_brick) as kept_brick
    from metrics
    inner join models on ', ' || metrics.tasks || ',' like '%, ' || models.task || ',%'
    left join kept_bricks on metrics.excluded_brick = kept_bricks.excluded_brick

),

measurable as (

    {{ measurable_metrics() }}

),

valued as (

    select
        readings.metric,
        count(distinct readings.model_id) as model_count,
        max(metric_days.metric_date) as last_metric_date
    from readings
    inner join metric_days
        on readings.metric = metric_days.metric
        and readings.model_id = metric_days.model_id
    inner join measurable
        on readings.metric = measurable.metric
        and readings.model_id = measurable.model_id
    where
        metric_days.unit_count > 0
        and metric_days.metric_date < {{ as_of_date() }}
    group by readings.metric

),

-- every row of the day, also of no model or of another task: what `mf` answers without dimensions
last_values as (

    select
        metrics.metric,
        case
            when sum(metric_days.unit_count) < {{ setting('minimum_cell') }} then null
            -- no cost has come in for that day, rather than a cost of zero
            when metrics.is_cross_fact and sum(metric_days.numerator) = 0 then null
            when metrics.denominator_brick is null then sum(metric_days.numerator)
            else {{ safe_ratio('sum(metric_days.numerator)', 'sum(metric_days.denominator)') }}
        end as last_value
    from metrics
    inner join valued on metrics.metric = valued.metric
    inner join metric_days
        on valued.metric = metric_days.metric
        and valued.last_metric_date = metric_days.metric_date
    group by metrics.metric, metrics.denominator_brick, metrics.is_cross_fact

),

left_out as (

    select
        readings.metric,
        coalesce(sum(brick_days.amount) filter (where brick_days.brick = readings.excluded_brick), 0) as excluded_count,
        coalesce(sum(brick_days.amount) filter (where brick_days.brick = readings.kept_brick), 0) as kept_count
    from readings
    inner join brick_days
        on readings.model_id = brick_days.model_id
        and brick_days.brick in (readings.excluded_brick, readings.kept_brick)
    where
        readings.excluded_brick is not null
        and brick_days.metric_date < {{ as_of_date() }}
    group by readings.metric

),

targets_in_force as (

    select
        metrics.metric,
        count(*) as target_count
    from metrics
    inner join targets on targets.metric in (metrics.metric, '*')
    where {{ valid_at('targets', as_of_date()) }}
    group by metrics.metric

),

catalog as (

    select
        metrics.metric,
        metrics.label,
        metrics.description,
        metrics.formula,
        metrics.formula_in_words,
        metrics.unit_of_count || ' by day, model' || case when metrics.is_versioned then ', version' else '' end
        || case when coalesce(metrics.segments, '') = '' then '' else ', or one of ' || metrics.segments end as grain,
        lineages.lineage,
        metrics.kind,
        metrics.io_class,
        metrics.leads_to,
        metrics.proxy_for,
        metrics.pillar,
        metrics.tier,
        metrics.tasks,
        metrics.unit,
        metrics.direction,
        metrics.frequency,
        metrics.rationale,
        metrics.so_what,
        metrics.synonyms,
        metrics.owner,
        metrics.approver,
        case
            when metrics.review_by < {{ as_of_date() }} then 'overdue'
            when metrics.review_by <= cast({{ dbt.dateadd('day', 30, as_of_date()) }} as date) then 'due_within_30_days'
            else 'current'
        end as review_state,
        metrics.definition_hash,
        metrics.minimum_meaningful_lift,
        {{ safe_ratio('left_out.kept_count', 'left_out.kept_count + left_out.excluded_count') }} as covered_share,
        last_values.last_value,
        cast(coalesce(targets_in_force.target_count, 0) as bigint) as target_count,
        cast(coalesce(valued.model_count, 0) as bigint) as model_count,
        valued.last_metric_date,
        metrics.review_by
    from metrics
    left join lineages on metrics.metric = lineages.metric
    left join valued on metrics.metric = valued.metric
    left join last_values on metrics.metric = last_values.metric
    left join left_out on metrics.metric = left_out.metric
    left join targets_in_force on metrics.metric = targets_in_force.metric

)

select * from catalog
