{% test accounted_for(model, table) %}
{# Rows in = staged + rejected + superseded copies + not yet visible; a row where the sum is off. #}
{%- do declare_inputs(table) -%}
{%- do ref('stg_rejected_rows') -%}
{%- if execute and table in setting('inputs') and raw_columns(table) is not none %}
with {{ checked_ctes(table) }},

valid as (

    select {{ contract(table).key | join(', ') }}, count(*) as copy_count
    from checked
    where reject_reason is null
    group by {{ contract(table).key | join(', ') }}

),

counts as (

    select
        (select count(*) from {{ delivered_rows(table) }} as delivered) as delivered_count,
        (select count(*) from {{ model }}) as staged_count,
        (select count(*) from {{ ref('stg_rejected_rows') }} where table_name = '{{ table }}') as rejected_count,
        (select coalesce(sum(copy_count - 1), 0) from valid) as superseded_count,
        (select count(*) from typed where loaded_at > {{ as_of() }}) as not_visible_count

)

select *
from counts
where delivered_count <> staged_count + rejected_count + superseded_count + not_visible_count
{%- else %}
select * from {{ model }} where 1 = 0
{%- endif %}
{% endtest %}
