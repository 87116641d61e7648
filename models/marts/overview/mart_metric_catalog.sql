-- One row per metric: its card, where its number comes from, and whether it is measured, complete and reviewed.
{%- set lineages = metric_lineages() if execute else [{'metric': ''}] %}
with metrics as (

    select * from {{ ref('dim_metrics') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where period in ('day', '28d') and segment_name = 'all' and model_version = 'all'

),

targets as (

    select * from {{ ref('dim_targets') }}
    where target_date = {{ as_of_date() }} and segment_name = 'all'

),

lineages as (

    {{ literal_rows(lineages, ['metric', 'lineage']) }}

),

read_metrics as (

    select
        metric,
        count(*) as model_count,
        max(delivered_through) as delivered_through
    from model_metrics
    group by metric

),

read_values as (

    select
        metric_values.*,
        metric_values.period_end_date <= model_metrics.known_through as is_known
    from metric_values
    inner join model_metrics
        on metric_values.metric = model_metrics.metric
        and metric_values.model_id = model_metrics.model_id

),

covered as (

    select
        metric,
        max(case when is_known and unit_count > 0 then period_end_date end) as last_metric_date,
        sum(kept_count) as kept_count,
        sum(excluded_count) as excluded_count
    from read_values
    where period = 'day'
    group by metric

),

-- over several models each outcome counts once; customers of several models do not add up; sums of a part of the window are none of it
last_values as (

    select
        metrics.metric,
        case
            when sum(read_values.unit_count) < {{ setting('minimum_cell') }} or not metrics.is_additive then null
            when metrics.denominator_brick is null then sum(read_values.numerator_once)
            else {{ safe_ratio('sum(read_values.numerator_once)', 'sum(read_values.denominator)') }}
        end as last_value
    from metrics
    inner join covered on metrics.metric = covered.metric
    inner join read_values
        on covered.metric = read_values.metric
        and covered.last_metric_date = read_values.period_end_date
        and read_values.period = '28d'
        and read_values.is_known
        and coalesce(read_values.reason, '') <> 'partial_window'
    group by metrics.metric, metrics.denominator_brick, metrics.is_additive

),

targeted as (

    select
        metric,
        count(*) as target_count
    from targets
    group by metric

),

trusted as (

    select
        metrics.metric,
        case
            when metrics.certified_hash is null then 'never_certified'
            when metrics.certified_hash <> metrics.definition_hash then 'definition_changed'
            when metrics.review_by < {{ as_of_date() }} then 'review_overdue'
            when read_metrics.metric is null then 'not_read'
            when read_metrics.delivered_through < cast({{ dbt.dateadd('day', -31, as_of_date()) }} as date) then 'not_fresh'
        end as distrust
    from metrics
    left join read_metrics on metrics.metric = read_metrics.metric

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
        trusted.distrust as not_certified_reason,
        metrics.definition_hash,
        metrics.minimum_meaningful_lift,
        case
            when metrics.excluded_brick is not null
                then {{ safe_ratio('covered.kept_count', 'covered.kept_count + covered.excluded_count') }}
        end as covered_share,
        last_values.last_value,
        cast(coalesce(targeted.target_count, 0) as bigint) as target_count,
        cast(coalesce(read_metrics.model_count, 0) as bigint) as model_count,
        trusted.distrust is null as is_certified,
        covered.last_metric_date,
        metrics.review_by
    from metrics
    inner join trusted on metrics.metric = trusted.metric
    left join lineages on metrics.metric = lineages.metric
    left join read_metrics on metrics.metric = read_metrics.metric
    left join covered on metrics.metric = covered.metric
    left join last_values on metrics.metric = last_values.metric
    left join targeted on metrics.metric = targeted.metric

)

select * from catalog
