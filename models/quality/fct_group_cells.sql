-- One row per model, version, day, protected attribute or pair of them, and group: its decisions and how they were judged.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set names = setting('protected_attributes') | unique | list %}
{%- set sums = group_sums() %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where {{ touched('decision_date') }}

),

group_tables as (

    {{ group_table_rows() }}

),

-- once over all attributes; the tables of groups are sums of these
cells as (

    select
        model_id,
        model_version,
        {%- for name in names %}
        coalesce({{ name }}, '(unknown)') as value_{{ loop.index }},
        {%- endfor %}
        {%- for name, expression in sums.items() %}
        sum({{ expression }}) as {{ name }},
        {%- endfor %}
        decision_date
    from decisions
    group by
        model_id,
        model_version,
        {%- for name in names %}
        coalesce({{ name }}, '(unknown)'),
        {%- endfor %}
        decision_date

),

placed as (

    select
        cells.model_id,
        cells.model_version,
        group_tables.attribute,
        {%- for part, value in [('first', 'group_value'), ('second', 'other_value')] %}
        case
            {%- for name in names %}
            when group_tables.{{ part }}_attribute = '{{ name }}' then cells.value_{{ loop.index }}
            {%- endfor %}
            when group_tables.attribute is not null then 'all'
        end as {{ value }},
        {%- endfor %}
        {%- for name in sums %}
        cells.{{ name }},
        {%- endfor %}
        cells.decision_date
    from cells
    cross join group_tables

),

group_cells as (

    select
        model_id,
        model_version,
        attribute,
        group_value,
        other_value,
        {%- for name in sums %}
        cast(sum({{ name }}) as {{ sum_type(name) }}) as {{ name }},
        {%- endfor %}
        decision_date
    from placed
    group by model_id, model_version, attribute, group_value, other_value, decision_date

)

select * from group_cells
