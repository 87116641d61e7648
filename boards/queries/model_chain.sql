-- One row per week and link of the chain from decision to value.
select
    week_start_date,
    words(link) as link,
    words(status) as link_status
from mart_causal_chain
where model_id = '{{ model_id }}'
order by link_number, week_start_date
