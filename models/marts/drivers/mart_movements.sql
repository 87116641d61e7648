-- One row per metric, model, month or latest 28 days, dimension, part and effect: what moved the metric since the period before.
with changes as (

    select * from {{ ref('int_metric_changes') }}

),

parts as (

    select * from {{ ref('int_movement_parts') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

definitions as (

    select
        metric,
        formula,
        cast(in_force_from as date) as changed_date,
        row_number() over (partition by metric order by in_force_from) as place
    from {{ ref('fct_metric_definitions') }}

),

remarks as (

    select distinct
        'annotation ' || annotation_id as remark_id,
        scope,
        coalesce(kind || ': ', '') || title || coalesce(' (' || author || ')', '') || coalesce(' ' || link, '') as remark,
        annotation_date as remark_date
    from {{ ref('dim_annotations') }}
    union all
    select
        'release ' || release_id as remark_id,
        model_id as scope,
        'release: ' || coalesce(model_version || ' ', '') || event_type || coalesce(' (' || approver || ')', '') as remark,
        event_date as remark_date
    from {{ ref('fct_releases') }}
    union all
    select
        'definition ' || cast(place as {{ dbt.type_string() }}) as remark_id,
        metric as scope,
        'definition: ' || formula || ', by which earlier days were computed anew' as remark,
        changed_date as remark_date
    from definitions
    where place > 1

),

all_parts as (

    select
        metric,
        model_id,
        period,
        'all' as dimension,
        'all' as part,
        'change' as effect,
        value,
        previous_value,
        value - previous_value as contribution,
        period_end_date
    from changes
    union all
    select
        metric,
        model_id,
        period,
        dimension,
        part,
        effect,
        value,
        previous_value,
        contribution,
        period_end_date
    from parts

),

met as (

    select
        changes.metric,
        changes.model_id,
        changes.period,
        changes.period_end_date,
        remarks.remark_id,
        remarks.remark,
        min(remarks.remark_date) as first_date
    from changes
    inner join remarks
        on remarks.scope in ('all', changes.model_id, changes.metric)
        and remarks.remark_date between changes.period_start_date and changes.period_end_date
    group by changes.metric, changes.model_id, changes.period, changes.period_end_date, remarks.remark_id, remarks.remark

),

remarked as (

    select
        metric,
        model_id,
        period,
        period_end_date,
        {{ ordered_list('remark', '; ', ['first_date', 'remark_id']) }} as remarks
    from met
    group by metric, model_id, period, period_end_date

),

movements as (

    select
        all_parts.metric,
        metrics.label,
        metrics.unit,
        all_parts.model_id,
        all_parts.period,
        all_parts.dimension,
        all_parts.part,
        all_parts.effect,
        changes.reason as not_ready_reason,
        remarked.remarks,
        cast(all_parts.value as {{ type_double() }}) as value,
        cast(all_parts.previous_value as {{ type_double() }}) as previous_value,
        cast(all_parts.contribution as {{ type_double() }}) as contribution,
        changes.is_beyond_noise,
        changes.period_start_date,
        changes.period_end_date,
        changes.previous_start_date,
        changes.previous_end_date
    from all_parts
    inner join changes
        on all_parts.metric = changes.metric
        and all_parts.model_id = changes.model_id
        and all_parts.period = changes.period
        and all_parts.period_end_date = changes.period_end_date
    inner join metrics on all_parts.metric = metrics.metric
    left join remarked
        on all_parts.metric = remarked.metric
        and all_parts.model_id = remarked.model_id
        and all_parts.period = remarked.period
        and all_parts.period_end_date = remarked.period_end_date

)

select * from movements
