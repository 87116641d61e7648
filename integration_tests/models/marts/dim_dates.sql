-- One row per day of the shop's calendar, which knows nothing of ours.
select
    {{ dbt.dateadd('day', 'generated_number', "cast('2026-01-01' as date)") }} as shop_day,
    'trading' as day_type
from {{ ref('numbers') }}
where generated_number <= 400
