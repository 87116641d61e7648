{# A query of no rows with the columns of the model's YAML: for a relation that dbt makes and something else fills. #}
{% macro no_rows() %}
    select
        {%- for column in model.columns.values() %}
        cast(null as {{ column_type(column.data_type) }}) as {{ column.name }}{{ ',' if not loop.last }}
        {%- else %}
        null as unknown
        {%- endfor %}
    where 1 = 0
{%- endmacro %}
