{# Which cells of a table tell too much of too few. #}

{# The rows of `cells` with what is_hidden_cell asks, each among those of its cell set: the columns that name one table of cells,
   whose rows `value` tells apart and whose total is known. #}
{% macro ranked_cells(cells, cell_set, value) -%}
    select
        *,
        max(case when unit_count between 1 and {{ setting('minimum_cell') }} - 1 then 1 else 0 end)
            over (partition by {{ cell_set }}) as has_small_cells,
        count(case when unit_count > 0 then 1 end) over (
            partition by {{ cell_set }}
            order by unit_count nulls last, {{ value }} nulls last
            rows between unbounded preceding and 1 preceding
        ) as smaller_cells,
        coalesce(sum(unit_count) over (
            partition by {{ cell_set }}
            order by unit_count nulls last, {{ value }} nulls last
            rows between unbounded preceding and 1 preceding
        ), 0) as smaller_units
    from {{ cells }}
{%- endmacro %}

{# Whether a row of ranked_cells is hidden: small cells; with them empty ones, which would tell by being shown; then the next
   smallest, until no sum gives one away. #}
{% macro is_hidden_cell() -%}
has_small_cells = 1
        and (
            unit_count < {{ setting('minimum_cell') }}
            or smaller_cells < 2
            or smaller_units < {{ setting('minimum_cell') }}
        )
{%- endmacro %}

{# Whether what is hidden of a line of cells, whose sum is known, may stay so: nothing is, or at least two cells that are not empty
   and together hold minimum_cell rows. #}
{% macro covers_hidden(hidden_cells, hidden_units) -%}
    {{ hidden_cells }} = 0 or ({{ hidden_cells }} >= 2 and {{ hidden_units }} >= {{ setting('minimum_cell') }})
{%- endmacro %}

{# Whether rows of two relations are of one model and period. #}
{% macro same_table_of_groups(one, other) -%}
    {{ one }}.model_id = {{ other }}.model_id
        and {{ one }}.period = {{ other }}.period
        and {{ one }}.period_end_date = {{ other }}.period_end_date
{%- endmacro %}
