{# Which cells of a table tell too much of too few. #}

{# The rows of `cells` with what is_hidden_cell asks, each among those of its cell set: the columns that name one table of cells,
   whose rows `value` tells apart and whose total is known. #}
{% macro ranked_cells(cells, cell_set, value, units='unit_count', prefix='') -%}
    select
        *,
        max(case when {{ units }} between 1 and {{ setting('minimum_cell') }} - 1 then 1 else 0 end)
            over (partition by {{ cell_set }}) as {{ prefix }}has_small_cells,
        count(case when {{ units }} > 0 then 1 end) over (
            partition by {{ cell_set }}
            order by {{ units }} nulls last, {{ value }} nulls last
            rows between unbounded preceding and 1 preceding
        ) as {{ prefix }}smaller_cells,
        coalesce(sum({{ units }}) over (
            partition by {{ cell_set }}
            order by {{ units }} nulls last, {{ value }} nulls last
            rows between unbounded preceding and 1 preceding
        ), 0) as {{ prefix }}smaller_units
    from {{ cells }}
{%- endmacro %}

{# Whether a row of ranked_cells is hidden: small cells; with them empty ones, which would tell by being shown; then the next
   smallest, until no sum gives one away. Cells with counts of two kinds are ranked by each, with a prefix, and hidden by either. #}
{% macro is_hidden_cell(units='unit_count', prefix='') -%}
{{ prefix }}has_small_cells = 1
        and (
            {{ units }} < {{ setting('minimum_cell') }}
            or {{ prefix }}smaller_cells < 2
            or {{ prefix }}smaller_units < {{ setting('minimum_cell') }}
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

{# The cells of groups by each line whose sum is shown: the table of one attribute, a row or a column of a pair whose margin is. #}
{% macro lines_of_groups(cells) -%}
    select
        *,
        'table' as side,
        'all' as line_value
    from {{ cells }}
    where not is_pair
    union all
    select
        *,
        'row' as side,
        group_value as line_value
    from {{ cells }}
    where is_pair and not is_hidden_row
    union all
    select
        *,
        'column' as side,
        other_value as line_value
    from {{ cells }}
    where is_pair and not is_hidden_column
{%- endmacro %}

{# The last place of a version that is hidden in each table: that from `places` on, up to which no version tells too much and neither
   does the total less those that are shown. It reads the CTE `version_states`. #}
{% macro cuts_of_versions(places) -%}
    select
        version_states.model_id,
        version_states.attribute,
        version_states.period,
        version_states.period_end_date,
        case
            when max({{ places }}.needed_place) = 0 then 0
            else coalesce(
                min(
                    case
                        when
                            version_states.place >= {{ places }}.needed_place
                            and version_states.tells_as_rest = 0
                            and version_states.filled_versions >= 2
                            then version_states.place
                    end
                ),
                max(version_states.place)
            )
        end as last_hidden_place
    from version_states
    inner join {{ places }}
        on {{ same_table_of_groups('version_states', places) }}
        and version_states.attribute = {{ places }}.attribute
    group by
        version_states.model_id,
        version_states.attribute,
        version_states.period,
        version_states.period_end_date
{%- endmacro %}
