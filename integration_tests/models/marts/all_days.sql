-- One row per day: the shop's own time spine.
select cast(shop_day as date) as all_day from {{ ref('dim_dates') }}
