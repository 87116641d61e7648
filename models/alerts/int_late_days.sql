-- One row per model, raw table or feed of outcomes, and complete day: by how many days it is late.
{%- set own_sources = "('labels', 'amounts', 'serving_costs')" %}
with watermarks as (

    select * from {{ ref('int_watermarks') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

dates as (

    select * from {{ ref('dim_dates') }}
    where is_complete

),

-- labels and amounts are due once horizon and delay have passed; a bill may follow its month by a month
due as (

    select
        case when watermarks.source_name in {{ own_sources }} then watermarks.model_id else '(all)' end as model_id,
        watermarks.source_name,
        min(watermarks.known_from) as known_from,
        min(watermarks.known_through) as known_through,
        max(case watermarks.source_name
            when 'labels' then models.horizon_days + models.label_delay_days
            when 'amounts' then models.horizon_days + models.label_delay_days
            when 'serving_costs' then 31
            else 0
        end) as due_after_days
    from watermarks
    inner join models on watermarks.model_id = models.model_id
    group by
        case when watermarks.source_name in {{ own_sources }} then watermarks.model_id else '(all)' end,
        watermarks.source_name

),

late_days as (

    select
        due.model_id,
        due.source_name,
        cast(
            greatest({{ dbt.datediff('due.known_through', 'dates.date_day', 'day') }} - due.due_after_days, 0) -- noqa: LT05
            as bigint
        ) as late_days,
        dates.date_day
    from due
    inner join dates on due.known_from <= dates.date_day

)

select * from late_days
