-- Movements of which the contributions of a dimension differ from the change by more than rounding.
with movements as (

    select * from {{ ref('mart_movements') }}

),

changes as (

    select * from movements
    where dimension = 'all'

),

explained as (

    select
        metric,
        model_id,
        period,
        period_end_date,
        dimension,
        sum(contribution) as contribution
    from movements
    where dimension <> 'all'
    group by metric, model_id, period, period_end_date, dimension

)

select
    explained.*,
    changes.contribution as change
from explained
inner join changes
    on explained.metric = changes.metric
    and explained.model_id = changes.model_id
    and explained.period = changes.period
    and explained.period_end_date = changes.period_end_date
where abs(explained.contribution - changes.contribution)
    > 1e-9 * greatest(1, abs(changes.value), abs(changes.previous_value))
