-- One row per thing that someone is to look at, and day: overdue, due or to come.
with metrics as (

    select * from {{ ref('dim_metrics') }}

),

read_metrics as (

    select distinct metric from {{ ref('dim_model_metrics') }}

),

scorecard as (

    select * from {{ ref('mart_scorecard') }}

),

governed_targets as (

    select
        *,
        row_number() over (
            partition by model_id, metric, segment_name, segment_value order by target_date desc nulls last
        ) as place
    from {{ ref('dim_targets') }}

),

goals as (

    select * from {{ ref('mart_goals') }}
    where is_latest and model_id = '(all)'

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

today as (

    select
        {{ as_of_date() }} as today,
        cast({{ dbt.dateadd('day', 7, dbt.date_trunc('week', as_of_date())) }} as date) as next_week,
        cast({{ dbt.dateadd('month', 1, dbt.date_trunc('month', as_of_date())) }} as date) as next_month,
        cast({{ dbt.dateadd('month', 3, dbt.date_trunc('quarter', as_of_date())) }} as date) as next_quarter

),

{{ part_ctes('experiments', 'look_dates') }},

cards as (

    select
        'metric_card' as review_kind,
        metrics.metric as subject,
        '(all)' as model_id,
        metrics.approver as owner,
        'Review the card, then set the next review_by.' as next_step,
        metrics.review_by as due_date
    from metrics
    inner join read_metrics on metrics.metric = read_metrics.metric

),

readings as (

    select
        'reading' as review_kind,
        metrics.metric as subject,
        '(all)' as model_id,
        metrics.owner,
        metrics.so_what as next_step,
        case metrics.frequency
            when 'daily' then today.today
            when 'weekly' then today.next_week
            when 'monthly' then today.next_month
            else today.next_quarter
        end as due_date
    from metrics
    inner join read_metrics on metrics.metric = read_metrics.metric
    cross join today
    union all
    select
        'drift' as review_kind,
        models.model_id as subject,
        models.model_id,
        models.team as owner,
        'Read the features of mart_drift that are in alarm.' as next_step,
        today.today as due_date
    from models
    cross join today

),

-- a target that is met by its day needs no review
all_targets as (

    select
        scorecard.metric,
        scorecard.model_id,
        scorecard.segment_name,
        scorecard.segment_value,
        governed_targets.owner,
        scorecard.status,
        scorecard.due
    from scorecard
    inner join governed_targets
        on scorecard.model_id = governed_targets.model_id
        and scorecard.metric = governed_targets.metric
        and scorecard.segment_name = governed_targets.segment_name
        and scorecard.segment_value = governed_targets.segment_value
        and governed_targets.place = 1
    union all
    select
        metric,
        model_id,
        segment_name,
        segment_value,
        owner,
        status,
        due
    from goals

),

targets as (

    select
        'target' as review_kind,
        metric || case when segment_name = 'all' then '' else ' ' || segment_name || ' ' || segment_value end as subject,
        model_id,
        owner,
        'Say whether it was met, and set the next target.' as next_step,
        due as due_date
    from all_targets
    where due is not null and (due >= {{ as_of_date() }} or status <> 'on_target')

),

-- looks and ends of the past were read by the lift
experiment_days as (

    select
        'experiment_look' as review_kind,
        parts.experiment_id as subject,
        experiments.model_id,
        experiments.owner,
        'Decide by mart_experiment_decisions; between looks nothing is decided.' as next_step,
        cast(parts.part as date) as due_date
    from parts
    inner join experiments on parts.experiment_id = experiments.experiment_id
    where parts.part is not null and parts.part <> ''
    union all
    select
        'experiment_end' as review_kind,
        experiment_id as subject,
        model_id,
        owner,
        'Decide by mart_experiment_decisions once its windows have ended.' as next_step,
        coalesce(extended_end_date, planned_end_date) as due_date
    from experiments
    union all
    select
        'experiment_start' as review_kind,
        experiment_id as subject,
        model_id,
        owner,
        'Read mart_experiment_backlog: is it worth its units?' as next_step,
        start_date as due_date
    from experiments

),

reviews as (

    select * from cards
    union all
    select * from readings
    union all
    select * from targets
    union all
    select * from experiment_days
    where due_date >= {{ as_of_date() }}

),

calendar as (

    select
        review_kind,
        subject,
        model_id,
        owner,
        case
            when due_date < {{ as_of_date() }} then 'overdue'
            when due_date < cast({{ dbt.dateadd('day', 8, as_of_date()) }} as date) then 'due_this_week'
            else 'to_come'
        end as review_state,
        next_step,
        cast(row_number() over (order by due_date, review_kind, subject, model_id) as bigint) as place,
        cast({{ dbt.datediff(as_of_date(), 'due_date', 'day') }} as bigint) as days_left,
        due_date
    from reviews

)

select * from calendar
