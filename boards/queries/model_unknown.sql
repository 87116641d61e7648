-- One row per link of the chain and reason why a week of it is not told.
select distinct
    link_number,
    words(link) as link,
    words(reason) as reason
from mart_causal_chain
where model_id = '{{ model_id }}' and reason is not null
order by link_number, reason
