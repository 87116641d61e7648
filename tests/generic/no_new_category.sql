{% test no_new_category(model, column_name, reference, now, maximum=0) %}
{# Values that the rows where `now` holds have and those where `reference` holds have not, if they are together more than `maximum` of
   the rows of now. What is missing is no category. #}
with known as (

    select distinct {{ column_name }} as category
    from {{ model }}
    where ({{ reference }}) and {{ column_name }} is not null

),

present as (

    select
        {{ column_name }} as category,
        count(*) as row_count
    from {{ model }}
    where {{ now }}
    group by {{ column_name }}

),

compared as (

    select
        present.category,
        present.row_count,
        known.category is null and present.category is not null as is_new,
        sum(present.row_count) over () as all_count,
        sum(case when known.category is null and present.category is not null then present.row_count else 0 end) over () as new_count
    from present
    left join known on present.category = known.category

)

select
    category,
    row_count
from compared
where is_new and new_count > {{ maximum }} * all_count
{% endtest %}
