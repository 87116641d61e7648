-- One row per model, version, protected attribute or pair of them, group and period: whether all versions together hide the group.
{%- set table = 'model_id, attribute, period, period_end_date' %}
{%- set cell = 'model_id, model_version, attribute, group_value, other_value, period, period_end_date' %}
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

cells as (

    select {{ cell }}, unit_count, false as is_pair, false as is_hidden_row, false as is_hidden_column, is_hidden = 1 as is_hidden
    from singles
    union all
    select
        {{ cell }},
        unit_count,
        true as is_pair,
        is_hidden_row = 1 as is_hidden_row,
        is_hidden_column = 1 as is_hidden_column,
        is_hidden = 1 as is_hidden
    from blocked_pairs

),

pairs_of_all as (

    select * from cells
    where model_version = 'all' and is_pair

),

lines as (

    {{ lines_of_groups('pairs_of_all') }}

),

line_sums as (

    select
        {{ table }},
        sum(case when is_hidden and unit_count > 0 then 1 else 0 end) as hidden_cells,
        sum(case when is_hidden then unit_count else 0 end) as hidden_units
    from lines
    group by {{ table }}, side, line_value

),

-- a pair whose block does not cover all its lines is hidden as a whole
open_tables as (

    select
        {{ table }},
        max(case when {{ covers_hidden('hidden_cells', 'hidden_units') }} then 0 else 1 end) as gives_away
    from line_sums
    group by {{ table }}

),

group_patterns as (

    select
        cells.model_id,
        cells.model_version,
        cells.attribute,
        cells.group_value,
        cells.other_value,
        cells.period,
        cells.unit_count,
        cells.is_pair,
        cells.is_hidden_row,
        cells.is_hidden_column,
        cells.is_hidden or coalesce(open_tables.gives_away, 0) = 1 as is_hidden,
        cells.period_end_date
    from cells
    left join open_tables
        on {{ same_table_of_groups('cells', 'open_tables') }}
        and cells.attribute = open_tables.attribute

)

select * from group_patterns
