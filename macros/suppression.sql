{# Small cells are not shown, nor the next-smallest where the total would give a single one away. #}

{% macro size_class(unit_count) -%}
    case
        when segment_name = 'all' then 'total'
        when coalesce({{ unit_count }}, 0) = 0 then 'empty'
        when {{ unit_count }} < {{ setting('minimum_cell') }} then 'small'
        else 'large'
    end
{%- endmacro %}

{# Small cells among the values of one segment; `cell` lists the columns that name a segment's cells. #}
{% macro small_cells(size_class, cell) -%}
    sum(case when {{ size_class }} = 'small' then 1 else 0 end) over (partition by {{ cell | join(', ') }})
{%- endmacro %}

{# 1 for the smallest cell of its size class. #}
{% macro size_rank(size_class, unit_count, cell) -%}
    row_number() over (
        partition by {{ cell | join(', ') }}, {{ size_class }}
        order by {{ unit_count }} nulls last, segment_value nulls last
    )
{%- endmacro %}

{% macro is_suppressed(size_class, small_cells, size_rank) -%}
    {{ size_class }} = 'small' or ({{ size_class }} = 'large' and {{ small_cells }} = 1 and {{ size_rank }} = 1)
{%- endmacro %}
