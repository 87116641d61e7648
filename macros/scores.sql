{# Bins of scores: their edges, and what is told from sums over them. #}

{# True where the values from `before` up to `through` of `total` rows, in order, hold a quantile first/parts to (parts - 1)/parts: the
   smallest value that so large a share of the rows does not exceed. Whole numbers alone, so that every engine finds the same one. #}
{% macro holds_quantile(before, through, total, parts, first=1) -%}
    least(({{ parts }} * {{ through }} - mod({{ parts }} * {{ through }}, {{ total }})) / {{ total }}, {{ parts - 1 }})
    >= greatest(({{ parts }} * {{ before }} - mod({{ parts }} * {{ before }}, {{ total }})) / {{ total }} + 1, {{ first }})
{%- endmacro %}

{# How a row of fct_score_bins is known to what says which of them are touched. #}
{% macro score_day_key(date_name='decision_date') -%}
    concat(model_id, ' ', {{ date_name }})
{%- endmacro %}

{# What stands in fct_score_bins: model, bin with its edges, and day. No row where nothing stands. It is looked up and not referred to,
   since it is made after the model that asks. #}
{% macro standing_score_bins() %}
    {%- set node = graph.nodes.get('model.' ~ package_name() ~ '.fct_score_bins') if execute else none -%}
    {%- set relation = none -%}
    {%- if node and may_look() and model.resource_type == 'model' and build_ledger() is not none -%}
        {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
        {#- one of another form is made anew as a whole -#}
        {%- set names = adapter.get_columns_in_relation(relation) | map(attribute='name') | list if relation is not none else [] -%}
        {%- set relation = relation if 'lower_edge' in names and 'is_point_mass' in names else none -%}
    {%- endif -%}
    {%- if relation is none -%}
    select
        cast(null as {{ dbt.type_string() }}) as model_id,
        cast(null as bigint) as bin_number,
        cast(null as {{ type_double() }}) as lower_edge,
        cast(null as {{ type_double() }}) as upper_edge,
        cast(null as boolean) as is_point_mass,
        cast(null as date) as decision_date
    where 1 = 0
    {%- else -%}
    select distinct
        model_id,
        bin_number,
        lower_edge,
        upper_edge,
        is_point_mass,
        decision_date
    from {{ relation }}
    where segment_name = 'all'
    {%- endif -%}
{% endmacro %}
