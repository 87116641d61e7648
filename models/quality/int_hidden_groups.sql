-- One row per model, version, protected attribute or pair of them, group and period of which nothing may be shown.
{%- set table = 'model_id, attribute, period, period_end_date' %}
{%- set minimum = setting('minimum_cell') %}
with group_periods as (

    select
        model_id,
        model_version,
        attribute,
        group_value,
        other_value,
        period,
        period_end_date,
        row_count as unit_count
    from {{ ref('int_group_periods') }}

),

group_tables as (

    {{ group_table_rows() }}

),

single_cells as (

    select group_periods.*
    from group_periods
    inner join group_tables
        on group_periods.attribute = group_tables.attribute
        and group_tables.second_attribute is null
    where group_periods.model_version = 'all'

),

ranked_singles as (

    {{ ranked_cells('single_cells', table, 'group_value') }}

),

hidden_values as (

    select * from ranked_singles
    where
        {{ is_hidden_cell() }}

),

-- of a pair, whether a value of either attribute is hidden in the table of that attribute, which shows the margins
pair_cells as (

    select
        group_periods.*,
        case when hidden_rows.attribute is null then 0 else 1 end as is_hidden_row,
        case when hidden_columns.attribute is null then 0 else 1 end as is_hidden_column
    from group_periods
    inner join group_tables on group_periods.attribute = group_tables.attribute
    left join hidden_values as hidden_rows
        on {{ same_table_of_groups('group_periods', 'hidden_rows') }}
        and group_tables.first_attribute = hidden_rows.attribute
        and group_periods.group_value = hidden_rows.group_value
    left join hidden_values as hidden_columns
        on {{ same_table_of_groups('group_periods', 'hidden_columns') }}
        and group_tables.second_attribute = hidden_columns.attribute
        and group_periods.other_value = hidden_columns.group_value
    where group_tables.second_attribute is not null

),

marked_pairs as (

    select
        *,
        case when unit_count between 1 and {{ minimum }} - 1 and is_hidden_row + is_hidden_column = 0 then 1 else 0 end as is_small
    from pair_cells
    where model_version = 'all'

),

pair_lines as (

    {% for side, value in [('row', 'group_value'), ('column', 'other_value')] -%}
    select
        {{ table }},
        '{{ side }}' as side,
        {{ value }} as line_value,
        greatest(max(is_hidden_{{ side }}), max(is_small)) as is_in_block,
        max(is_small) as has_small_cells,
        sum(unit_count) as unit_count
    from marked_pairs
    group by {{ table }}, {{ value }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

ranked_lines as (

    select
        *,
        max(has_small_cells) over (partition by {{ table }}) as has_block,
        sum(is_in_block) over (partition by {{ table }}, side) as block_lines,
        row_number() over (
            partition by {{ table }}, side, is_in_block
            order by case when unit_count = 0 then 1 else 0 end, unit_count nulls last, line_value nulls last
        ) as place
    from pair_lines

),

-- a block of rows and columns, at least two of each, holds all small cells: along its rectangles each cell is free
block_lines as (

    select * from ranked_lines
    where has_block = 1 and (is_in_block = 1 or (block_lines < 2 and place <= 2 - block_lines))

),

blocked_pairs as (

    select
        pair_cells.*,
        case
            when pair_cells.is_hidden_row + pair_cells.is_hidden_column > 0 then 1
            when block_rows.side is not null and block_columns.side is not null then 1
            else 0
        end as is_hidden
    from pair_cells
    left join block_lines as block_rows
        on {{ same_table_of_groups('pair_cells', 'block_rows') }}
        and pair_cells.attribute = block_rows.attribute
        and block_rows.side = 'row'
        and pair_cells.group_value = block_rows.line_value
    left join block_lines as block_columns
        on {{ same_table_of_groups('pair_cells', 'block_columns') }}
        and pair_cells.attribute = block_columns.attribute
        and block_columns.side = 'column'
        and pair_cells.other_value = block_columns.line_value

),

singles as (

    select
        group_periods.*,
        case when hidden_values.attribute is null then 0 else 1 end as is_hidden
    from group_periods
    inner join group_tables on group_periods.attribute = group_tables.attribute
    left join hidden_values
        on {{ same_table_of_groups('group_periods', 'hidden_values') }}
        and group_periods.attribute = hidden_values.attribute
        and group_periods.group_value = hidden_values.group_value
    where group_tables.second_attribute is null

),

-- whatever sums to a number that is shown: a table of one attribute, a row or a column of a pair whose margin is shown
lines as (

    select {{ table }}, model_version, 'table' as side, 'all' as line_value, unit_count, is_hidden from singles
    union all
    select {{ table }}, model_version, 'row' as side, group_value as line_value, unit_count, is_hidden
    from blocked_pairs
    where is_hidden_row = 0
    union all
    select {{ table }}, model_version, 'column' as side, other_value as line_value, unit_count, is_hidden
    from blocked_pairs
    where is_hidden_column = 0

),

line_sums as (

    select
        {{ table }},
        model_version,
        sum(case when is_hidden = 1 and unit_count > 0 then 1 else 0 end) as hidden_cells,
        sum(case when is_hidden = 1 then unit_count else 0 end) as hidden_units,
        max(case when is_hidden = 0 and unit_count between 1 and {{ minimum }} - 1 then 1 else 0 end) as shows_small_cells
    from lines
    group by {{ table }}, model_version, side, line_value

),

judged_lines as (

    select
        *,
        case when {{ covers_hidden('hidden_cells', 'hidden_units') }} then 0 else 1 end as gives_away
    from line_sums

),

-- where a line does not hold, the whole table is hidden; where one of a version does not, those of all versions
tables as (

    select
        {{ table }},
        max(case when model_version = 'all' then gives_away else 0 end) as hides_all,
        max(greatest(gives_away, shows_small_cells)) as hides_versions
    from judged_lines
    group by {{ table }}

),

-- a version shows its pairs where it shows both attributes of them
settled_tables as (

    select
        tables.model_id,
        tables.attribute,
        tables.period,
        tables.period_end_date,
        case when group_tables.second_attribute is null then 0 else tables.hides_all end as hides_all,
        greatest(tables.hides_versions, coalesce(max(parts.hides_versions), 0)) as hides_versions
    from tables
    inner join group_tables on tables.attribute = group_tables.attribute
    left join tables as parts
        on {{ same_table_of_groups('tables', 'parts') }}
        and group_tables.second_attribute is not null
        and parts.attribute in (group_tables.first_attribute, group_tables.second_attribute)
    group by
        tables.model_id,
        tables.attribute,
        tables.period,
        tables.period_end_date,
        group_tables.second_attribute,
        tables.hides_all,
        tables.hides_versions

),

all_cells as (

    select {{ table }}, model_version, group_value, other_value, is_hidden from singles
    union all
    select {{ table }}, model_version, group_value, other_value, is_hidden from blocked_pairs

),

hidden_groups as (

    select
        all_cells.model_id,
        all_cells.model_version,
        all_cells.attribute,
        all_cells.group_value,
        all_cells.other_value,
        all_cells.period,
        all_cells.period_end_date
    from all_cells
    -- a pair of which every row and column is hidden has no line
    left join settled_tables
        on {{ same_table_of_groups('all_cells', 'settled_tables') }}
        and all_cells.attribute = settled_tables.attribute
    where
        all_cells.is_hidden = 1
        or settled_tables.hides_all = 1
        or (all_cells.model_version <> 'all' and settled_tables.hides_versions = 1)

)

select * from hidden_groups
