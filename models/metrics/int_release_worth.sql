-- One row per model and version with a value in some month: what the newest of these brought, and what the version before would have.
with releases as (

    select * from {{ ref('int_releases') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where segment_name = 'all' and model_version <> 'all' and value is not null

),

months as (

    select
        *,
        row_number() over (partition by model_id, model_version order by period_end_date desc nulls last) as place
    from metric_values
    where metric = 'value_of_decisions' and period = 'month'

),

rates as (

    select * from metric_values
    where metric = 'value_per_decision' and period = 'all'

),

worth as (

    select
        releases.model_id,
        releases.model_version,
        months.value as month_value_amount,
        (own.value - other.value) * months.unit_count as month_gain_amount,
        months.period_end_date as value_month_date
    from releases
    inner join months
        on releases.model_id = months.model_id
        and releases.model_version = months.model_version
        and months.place = 1
    left join rates as own
        on releases.model_id = own.model_id
        and releases.model_version = own.model_version
    left join rates as other
        on releases.model_id = other.model_id
        and releases.version_before = other.model_version

)

select * from worth
