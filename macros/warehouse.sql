{# What differs between warehouses. Each macro is implemented once per warehouse in macros/warehouses/. #}

{% macro type_double() %}{{ return(adapter.dispatch('type_double')()) }}{% endmacro %}

{# NULL instead of an error where the text of `expression` is not of the contract type. #}
{% macro safe_cast_to(type, expression, delivered_type) %}
    {{ return(adapter.dispatch('safe_cast_to')(type, expression, delivered_type)) }}
{% endmacro %}

{# What a raw table is read from: files of the workspace or a relation. #}
{% macro raw_relation(table, with_delivery=false) %}{{ return(adapter.dispatch('raw_relation')(table, with_delivery)) }}{% endmacro %}

{# What delivered a row: its file, or the day it arrived where a relation is read. #}
{% macro delivery(table, delivered) %}{{ return(adapter.dispatch('delivery')(table, delivered)) }}{% endmacro %}

{# Query of table_name, delivery, a fingerprint that changes where it is replaced, and its rows where they are counted. #}
{% macro deliveries(table) %}{{ return(adapter.dispatch('deliveries')(table)) }}{% endmacro %}

{# The raw tables of which a delivery seen by the last finished build was changed or taken away. #}
{% macro replaced_deliveries() %}{{ return(adapter.dispatch('replaced_deliveries')()) }}{% endmacro %}

{# Deletes the touched rows of a relation and inserts what was computed for them. #}
{% macro replace_touched(arg_dict) %}{{ return(adapter.dispatch('replace_touched')(arg_dict)) }}{% endmacro %}

{# The rows of a query asked while compiling. #}
{% macro rows_of(query) %}{{ return(adapter.dispatch('rows_of')(query)) }}{% endmacro %}

{# The delivered columns of a raw table, lower-case name -> warehouse type; none where it does not exist. #}
{% macro raw_columns(table) %}{{ return(adapter.dispatch('raw_columns')(table)) }}{% endmacro %}

{# One JSON text per row from a list of columns. `columns` maps each JSON key to a column. #}
{% macro json_row(columns) %}{{ return(adapter.dispatch('json_row')(columns)) }}{% endmacro %}

{# Texts joined in the order of `order_by`. #}
{% macro ordered_list(expression, separator, order_by) %}
    {{ return(adapter.dispatch('ordered_list')(expression, separator, order_by)) }}
{% endmacro %}

{# Keeps a CTE that is read twice from being stored in between. #}
{% macro not_materialized() %}{{ return(adapter.dispatch('not_materialized')()) }}{% endmacro %}
