{% test missing_share_below(model, column_name, maximum, where_true='1 = 1') %}
{# The share of rows, of those for which `where_true` holds, that have no value, if it is not below `maximum`. No rows say nothing. #}
with counted as (

    select
        count(*) as row_count,
        sum(case when {{ column_name }} is null then 1 else 0 end) as missing_count
    from {{ model }}
    where {{ where_true }}

)

select
    *,
    {{ safe_ratio('missing_count', 'row_count') }} as missing_share
from counted
where {{ safe_ratio('missing_count', 'row_count') }} >= {{ maximum }}
{% endtest %}
