-- One row per model and bin of its scores.
{%- set not_a_number = "cast('NaN' as " ~ type_double() ~ ")" %}
with decisions as (

    select * from {{ ref('fct_decisions') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

days as (

    select distinct
        model_id,
        decision_date
    from decisions

),

numbered_days as (

    select
        days.model_id,
        days.decision_date,
        row_number() over (partition by days.model_id order by days.decision_date nulls last) as day_number,
        case
            when models.reference_from is null and models.reference_to is null then 0
            when days.decision_date < models.reference_from or days.decision_date > models.reference_to then 0
            else 1
        end as is_declared
    from days
    inner join models on days.model_id = models.model_id

),

declared as (

    select
        model_id,
        max(is_declared) as has_declared_days
    from numbered_days
    group by model_id

),

reference_days as (

    select
        numbered_days.model_id,
        numbered_days.decision_date
    from numbered_days
    inner join declared on numbered_days.model_id = declared.model_id
    where numbered_days.is_declared = 1 or (declared.has_declared_days = 0 and numbered_days.day_number <= 28)

),

reference_scores as (

    select
        decisions.model_id,
        decisions.score,
        count(*) as row_count
    from decisions
    inner join reference_days
        on decisions.model_id = reference_days.model_id
        and decisions.decision_date = reference_days.decision_date
    where decisions.score is not null and decisions.score <> {{ not_a_number }}
    group by decisions.model_id, decisions.score

),

ordered_scores as (

    select
        model_id,
        score,
        row_count,
        cast(sum(row_count) over (
            partition by model_id
            order by score nulls last
            rows between unbounded preceding and current row
        ) as bigint) as rows_through,
        cast(sum(row_count) over (partition by model_id) as bigint) as reference_count
    from reference_scores

),

told_scores as (

    select
        model_id,
        score,
        row_count * 100 > reference_count as is_point_mass,
        (
            {{ holds_quantile('(rows_through - row_count)', 'rows_through', 'reference_count', 50) }}
        )
        or (
            {{ holds_quantile('(rows_through - row_count)', 'rows_through', 'reference_count', 250, first=225) }}
        )
        or (
            {{ holds_quantile('(rows_through - row_count)', 'rows_through', 'reference_count', 2500, first=2475) }}
        ) as is_quantile
    from ordered_scores

),

threshold_days as (

    select
        model_id,
        decision_threshold,
        decision_date,
        count(*) as row_count
    from decisions
    where decision_threshold is not null and decision_threshold <> {{ not_a_number }}
    group by model_id, decision_threshold, decision_date

),

-- in force is what most decisions of the newest day had, however many an older one had before
ranked_days as (

    select
        *,
        row_number() over (
            partition by model_id
            order by decision_date desc nulls last, row_count desc nulls last, decision_threshold desc nulls last
        ) as place
    from threshold_days

),

thresholds as (

    select
        model_id,
        decision_threshold,
        sum(row_count) as row_count,
        min(place) = 1 as is_in_force
    from ranked_days
    group by model_id, decision_threshold

),

ranked_thresholds as (

    select
        model_id,
        decision_threshold,
        is_in_force,
        row_number() over (
            partition by model_id
            order by row_count desc nulls last, decision_threshold desc nulls last
        ) as place
    from thresholds

),

-- thresholds that differ from row to row would be as many as there are rows
kept_thresholds as (

    select
        model_id,
        decision_threshold,
        is_in_force
    from ranked_thresholds
    where place <= 20 or is_in_force

),

-- a value that holds much is a bin, and what lies above it begins the next one
edges as (

    select model_id, score as lower_edge, true as is_point_mass from told_scores where is_point_mass
    union
    select model_id, score as lower_edge, false as is_point_mass from told_scores where is_point_mass or is_quantile
    union
    select model_id, decision_threshold as lower_edge, false as is_point_mass from kept_thresholds
    union
    -- the lowest bin is open
    select model_id, cast(null as {{ type_double() }}) as lower_edge, false as is_point_mass from declared

),

numbered as (

    select
        model_id,
        row_number() over (
            partition by model_id
            order by
                case when lower_edge is null then 0 else 1 end nulls last,
                lower_edge nulls last,
                case when is_point_mass then 0 else 1 end nulls last
        ) as bin_number,
        lower_edge,
        lead(lower_edge) over (
            partition by model_id
            order by
                case when lower_edge is null then 0 else 1 end nulls last,
                lower_edge nulls last,
                case when is_point_mass then 0 else 1 end nulls last
        ) as upper_edge,
        is_point_mass
    from edges

),

bins as (

    select
        numbered.model_id,
        numbered.bin_number,
        numbered.lower_edge,
        numbered.upper_edge,
        numbered.is_point_mass,
        not numbered.is_point_mass and points.lower_edge is not null as is_left_open,
        kept_thresholds.decision_threshold is not null and (points.lower_edge is null or numbered.is_point_mass) as is_threshold,
        coalesce(kept_thresholds.is_in_force, false) and (points.lower_edge is null or numbered.is_point_mass) as is_threshold_in_force,
        false as is_missing
    from numbered
    left join numbered as points
        on numbered.model_id = points.model_id
        and numbered.lower_edge = points.lower_edge
        and points.is_point_mass
    left join kept_thresholds
        on numbered.model_id = kept_thresholds.model_id
        and numbered.lower_edge = kept_thresholds.decision_threshold
    union all
    select
        model_id,
        0 as bin_number,
        cast(null as {{ type_double() }}) as lower_edge,
        cast(null as {{ type_double() }}) as upper_edge,
        false as is_point_mass,
        false as is_left_open,
        false as is_threshold,
        false as is_threshold_in_force,
        true as is_missing
    from declared

)

select * from bins
