{# Groups of protected attributes, and how far one is from another. #}

{# The tables of groups: a row per protected attribute and per pair of them. The second name is NULL where there is one. #}
{% macro group_tables() %}
    {% set names = setting('protected_attributes') | unique | list %}
    {% set rows = [] %}
    {% for name in names %}
        {% do rows.append({'attribute': name, 'first_attribute': name, 'second_attribute': none}) %}
    {% endfor %}
    {% for first in names %}
        {% for second in names[loop.index:] %}
            {% do rows.append({'attribute': first ~ ' & ' ~ second, 'first_attribute': first, 'second_attribute': second}) %}
        {% endfor %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# The same as a query; without protected attributes it has no row. #}
{% macro group_table_rows() -%}
    {%- set rows = group_tables() -%}
    {%- set columns = ['attribute', 'first_attribute', 'second_attribute'] -%}
    {%- if rows -%}
    {{ literal_rows(rows, columns) }}
    {%- else -%}
    select * from ({{ literal_rows([{'attribute': '', 'first_attribute': '', 'second_attribute': ''}], columns) }}) as nothing
    where 1 = 0
    {%- endif -%}
{%- endmacro %}

{# What is summed per group: name -> SQL over fct_decisions. Squares of weights give the effective number of decisions of a rate. #}
{% macro group_sums() %}
    {% set weight, square = 'sampling_weight', 'sampling_weight * sampling_weight' %}
    {% set sums = {
        'row_count': '1',
        'decision_count': weight,
        'decision_squares': square,
        'selected_count': 'true_positive_count + false_positive_count + excluded_positive_count',
        'matured_count': 'matured_count',
        'actual_positive_count': 'actual_positive_count',
    } %}
    {% for name in ['true_positive', 'false_positive', 'false_negative', 'true_negative'] %}
        {% do sums.update({name ~ '_count': name ~ '_count'}) %}
    {% endfor %}
    {% for name, cells in {'positive': "('tp', 'fn')", 'negative': "('fp', 'tn')", 'called': "('tp', 'fp')"}.items() %}
        {% do sums.update({
            name ~ '_rows': "case when confusion_cell in " ~ cells ~ " then 1 else 0 end",
            name ~ '_squares': "case when confusion_cell in " ~ cells ~ " then " ~ square ~ " else 0 end",
        }) %}
    {% endfor %}
    {% set is_scored = "confusion_cell is not null and score is not null" %}
    {% do sums.update({
        'scored_rows': "case when " ~ is_scored ~ " then 1 else 0 end",
        'scored_count': "case when " ~ is_scored ~ " then " ~ weight ~ " else 0 end",
        'score_sum': "case when " ~ is_scored ~ " then " ~ weight ~ " * score else 0 end",
        'scored_positive_count': "case when " ~ is_scored ~ " then actual_positive_count else 0 end",
    }) %}
    {{ return(sums) }}
{% endmacro %}

{# The type of one of group_sums: rows are whole. #}
{% macro sum_type(name) -%}
    {{ 'bigint' if name.startswith('row') or name.endswith('rows') else type_double() }}
{%- endmacro %}

{# The rates of a group: name -> what it is a share of, and whether that takes labels. #}
{% macro group_rates() %}
    {{ return([
        {'name': 'selection_rate', 'over': 'decision', 'part': 'selected_count', 'whole': 'decision_count', 'rows': 'row_count'},
        {'name': 'true_positive_rate', 'over': 'positive', 'part': 'true_positive_count', 'whole': 'true_positive_count + false_negative_count'},
        {'name': 'false_positive_rate', 'over': 'negative', 'part': 'false_positive_count', 'whole': 'false_positive_count + true_negative_count'},
        {'name': 'false_negative_rate', 'over': 'positive', 'part': 'false_negative_count', 'whole': 'true_positive_count + false_negative_count'},
        {'name': 'precision', 'over': 'called', 'part': 'true_positive_count', 'whole': 'true_positive_count + false_positive_count'},
    ]) }}
{% endmacro %}

{# Whether the setting reference_groups lets a group be the reference of its table. #}
{% macro may_be_reference(tables, groups) -%}
    {%- for name, value in setting('reference_groups').items() -%}
    ({{ tables }}.first_attribute <> '{{ name }}' or {{ groups }}.group_value = {{ text_literal(value) }})
            and (coalesce({{ tables }}.second_attribute, '') <> '{{ name }}' or {{ groups }}.other_value = {{ text_literal(value) }})
            and {% endfor -%}
    {{ groups }}.row_count > 0
{%- endmacro %}

{# How far a logarithm lies below that of the bound, in standard errors. Both shares are 0 or 1 where there is no error. #}
{% macro distance_below(logarithm, error, bound) -%}
    (ln({{ bound }}) - ({{ logarithm }})) / nullif({{ error }}, 0)
{%- endmacro %}

{# Whether a group fails by Holm's procedure over the groups of its table: `place` is 1 for the one that lies farthest below the
   bound, and none before it may have held. One-sided at 2.5 %, as the upper bound of an interval at 95 %. #}
{% macro beats_holm(distance, place, group_count) -%}
    {{ distance }} >= {{ normal_quantile('1 - cast(0.025 as ' ~ type_double() ~ ') / (' ~ group_count ~ ' - ' ~ place ~ ' + 1)') }}
{%- endmacro %}
