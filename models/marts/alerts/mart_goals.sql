-- One row per goal and day on which a window of 28 days ends: its value, the way to its target, and what it gives to the goal above.
with goals as (

    select
        *,
        case when is_latest then 'latest' else cast(period_end_date as {{ dbt.type_string() }}) end as occasion,
        {{ attainment('goal_periods') }} as attainment,
        {{ expected_value('goal_periods', 'goal_periods.period_end_date') }} as expected_value
    from {{ ref('int_goal_periods') }} as goal_periods

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

model_evidence as (

    select * from {{ ref('int_model_evidence') }}

),

-- all models together are no better shown than the least of them
grades as (

    select
        model_metrics.metric,
        model_metrics.model_id,
        coalesce(model_evidence.grade, 'C') as grade
    from model_metrics
    left join model_evidence on model_metrics.model_id = model_evidence.model_id
    union all
    select
        model_metrics.metric,
        '(all)' as model_id,
        max(coalesce(model_evidence.grade, 'C')) as grade
    from model_metrics
    left join model_evidence on model_metrics.model_id = model_evidence.model_id
    group by model_metrics.metric

),

pairs as (

    select
        children.goal_id,
        children.parent_goal_id,
        children.occasion,
        children.weight,
        children.attainment,
        children.metric = parents.metric
        and children.is_additive
        and parents.segment_name = 'all'
        and (parents.model_id = '(all)' or parents.model_id = children.model_id) as is_part,
        {{ safe_ratio(
            "case when parents.model_id = '(all)' then children.numerator_once else children.numerator end",
            'parents.denominator'
        ) }} as part_value
    from goals as children
    inner join goals as parents
        on children.parent_goal_id = parents.goal_id
        and children.occasion = parents.occasion

),

children as (

    select
        parent_goal_id,
        occasion,
        count(*) as child_count,
        count(case when is_part then 1 end) as part_count,
        sum(case when is_part then part_value end) as parts_value,
        sum(case when not is_part then weight end) as child_weight,
        sum(case when not is_part and attainment is null then weight else 0 end) as missing_weight,
        sum(case when not is_part then weight * attainment end) as known_attainment
    from pairs
    group by parent_goal_id, occasion

),

contributions as (

    select
        pairs.goal_id,
        pairs.occasion,
        case when pairs.is_part then 'part' else 'weighted' end as contribution_kind,
        case
            when pairs.is_part then pairs.part_value
            else pairs.weight * pairs.attainment / children.child_weight
        end as contribution
    from pairs
    inner join children
        on pairs.parent_goal_id = children.parent_goal_id
        and pairs.occasion = children.occasion

),

stated as (

    select
        goals.goal_id,
        goals.parent_goal_id,
        goals.level,
        goals.metric,
        goals.model_id,
        goals.segment_name,
        goals.segment_value,
        goals.owner,
        {{ target_status('goals.value', 'goals.target', 'goals.floor', 'goals.expected_value', 'goals.direction') }} as status,
        {{ target_outlook('goals') }} as outlook,
        goals.not_ready_reason,
        contributions.contribution_kind,
        grades.grade as evidence_grade,
        goals.value,
        goals.value_low,
        goals.value_high,
        goals.target,
        goals.floor,
        goals.baseline,
        goals.expected_value,
        goals.attainment,
        goals.weight,
        contributions.contribution,
        children.parts_value,
        case
            when coalesce(children.part_count, 0) = 0 then null
            -- parts that answer for all of it leave what rounding leaves
            when abs(goals.value - children.parts_value) <= 1e-9 * greatest(1, abs(goals.value)) then 0
            else goals.value - coalesce(children.parts_value, 0)
        end as missing_value,
        case
            when children.missing_weight = 0 then children.known_attainment / children.child_weight
        end as composite_attainment,
        children.known_attainment / children.child_weight as known_attainment,
        children.missing_weight / children.child_weight as missing_weight,
        cast(coalesce(children.child_count, 0) as bigint) as child_count,
        goals.is_latest,
        goals.due,
        goals.period_start_date,
        goals.period_end_date
    from goals
    left join contributions
        on goals.goal_id = contributions.goal_id
        and goals.occasion = contributions.occasion
    left join children
        on goals.goal_id = children.parent_goal_id
        and goals.occasion = children.occasion
    left join grades
        on goals.metric = grades.metric
        and goals.model_id = grades.model_id

)

select * from stated
