-- One row per model, metric read for it, segment, segment value and day on which a target is in force.
with targets as (

    select * from {{ ref('cfg_metric_targets') }}

),

cells as (

    select distinct
        model_id,
        metric,
        segment_name,
        segment_value
    from {{ ref('int_metric_periods') }}
    where period = '28d' and model_version = 'all'

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where date_day <= {{ as_of_date() }}

),

candidates as (

    select
        cells.*,
        targets.segment_name <> '*' as names_segment,
        targets.target,
        targets.floor,
        targets.baseline,
        targets.weight,
        targets.parent,
        targets.owner,
        targets.due,
        targets.valid_from,
        targets.valid_to,
        case when targets.metric = '*' then 8 else 0 end
        + case when targets.model_id = '*' then 4 else 0 end
        + case when targets.segment_name = '*' then 2 else 0 end
        + case when targets.segment_value = '*' then 1 else 0 end as generality
    from cells
    inner join targets
        on targets.metric in (cells.metric, '*')
        and targets.model_id in (cells.model_id, '*')
        and targets.segment_name in (cells.segment_name, '*')
        and targets.segment_value in (cells.segment_value, '*')

),

ranked as (

    select
        candidates.*,
        dates.date_day as target_date,
        row_number() over (
            partition by
                candidates.model_id, candidates.metric, candidates.segment_name, candidates.segment_value, dates.date_day
            order by candidates.generality asc, candidates.valid_from desc
        ) as place
    from candidates
    inner join model_metrics
        on candidates.model_id = model_metrics.model_id
        and candidates.metric = model_metrics.metric
    inner join dates
        on model_metrics.first_date <= dates.date_day
        and {{ valid_at('candidates', 'dates.date_day') }}

),

resolved as (

    select
        model_id,
        metric,
        segment_name,
        segment_value,
        parent,
        owner,
        target,
        floor,
        baseline,
        coalesce(weight, 1) as weight,
        names_segment,
        due,
        valid_from,
        target_date
    from ranked
    where place = 1

)

select * from resolved
