-- One row per model with scores: whether its decisions repeat the same entities or lists, so that intervals say too much.
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where score is not null

),

periods as (

    select * from {{ ref('int_judged_periods') }}
    where period = '28d'

),

repeats as (

    select
        decisions.model_id,
        count(decisions.entity_id) as entity_row_count,
        count(distinct decisions.entity_id) as entity_count,
        count(decisions.list_id) as list_row_count,
        count(distinct decisions.list_id) as list_count
    from decisions
    inner join periods
        on decisions.model_id = periods.model_id
        and decisions.decision_date >= periods.period_start_date
        and decisions.decision_date <= periods.period_end_date
    group by decisions.model_id

),

row_clusters as (

    select
        model_id,
        -- one row in twenty may be of an entity that was there before
        entity_row_count > 1.05 * entity_count or list_row_count > 1.05 * list_count as is_clustered
    from repeats

)

select * from row_clusters
