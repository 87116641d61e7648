{% test accounted_for(model, table) %}
{# Rows in = kept + rejected + superseded copies + not yet visible; a row where the sum is off. Rows in are counted in another way
   than they are read, where the warehouse knows one. #}
{%- do read_raw(table) -%}
{%- if execute and is_delivered(table) %}
{%- set delivered = raw_columns(table) %}
with counts as (

    select
        ({{ delivered_count(table) }}) as delivered_count,
        (select count(*) from {{ model }}) as kept_count,
        (select coalesce(sum(copy_count - 1), 0) from {{ ref('chk_' ~ table) }} where reject_reason is null) as superseded_count,
        (select count(*) from {{ ref('chk_' ~ table) }} where reject_reason is not null) as rejected_count,
        (
            select count(*) from {{ delivered_rows(table) }} as delivered
            where {{ arrival(table, delivered) }} > {{ as_of() }}
        ) as not_visible_count

)

select *
from counts
where delivered_count <> kept_count + superseded_count + rejected_count + not_visible_count
{%- else %}
select * from {{ ref('chk_' ~ table) }} where 1 = 0
{%- endif %}
{% endtest %}
