-- One row per model and day on which a version is deployed: which one, and how old it is.
with releases as (

    select
        *,
        cast(deployed_at as date) as deployed_date,
        cast(ended_at as date) as ended_date
    from {{ ref('int_releases') }}
    where deployed_at is not null

),

-- days of its own: those of dim_dates depend on every raw table
bounds as (

    select
        min(deployed_date) as first_day,
        cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date) as last_day
    from releases

),

{{ day_ctes('bounds') }},

ranked as (

    select
        releases.model_id,
        releases.model_version,
        days.date_day as version_date,
        1 as day_count,
        {{ dbt.datediff('releases.deployed_date', 'days.date_day', 'day') }} as age_days, -- noqa: LT05
        row_number() over (
            partition by releases.model_id, days.date_day
            order by releases.deployed_at desc nulls last, releases.model_version desc nulls last
        ) as place
    from releases
    inner join days
        on releases.deployed_date <= days.date_day
        and coalesce(releases.ended_date > days.date_day, true)

),

version_days as (

    select
        model_id,
        model_version,
        day_count,
        age_days,
        version_date
    from ranked
    where place = 1

)

select * from version_days
