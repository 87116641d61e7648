-- One row per week in which a link broke, with the first of them.
select
    week_start_date,
    words(from_link) as from_link,
    words(link) as link,
    readable(conversion, 'share', reason, '') as conversion,
    readable(reference_conversion, 'share', reason, '') as reference_conversion,
    words(metric) as metric,
    text(feature) as feature,
    text(owner) as owner
from mart_causal_chain
where model_id = '{{ model_id }}' and is_first_broken
order by week_start_date desc
