{# Columns of the settings `segments` and `protected_attributes`, each once, for a select list. #}
{% macro group_columns() %}
    {{ return((setting('segments') + setting('protected_attributes')) | unique | list) }}
{% endmacro %}

{# `amount` of `currency` in the reporting currency, given the joined exchange rate; no currency means the reporting one. #}
{% macro in_reporting_currency(amount, currency, rate) -%}
    {{ amount }} * case
        when {{ currency }} is null or {{ currency }} = '{{ setting("reporting_currency") }}' then 1
        else {{ rate }}
    end
{%- endmacro %}

{# A brick: the weight of the row where the condition holds, else 0. #}
{% macro weighted(condition) -%}
    case when {{ condition }} then sampling_weight else 0 end
{%- endmacro %}

{# Whether a text says the positive one of two classes: the positive label itself, or a word for yes or no; NULL where it says neither. #}
{% macro says_positive(text, positive_label) -%}
    {%- set yes, no = "('true', 'yes', '1')", "('false', 'no', '0')" -%}
    case
        when {{ text }} = {{ positive_label }} then true
        when lower({{ text }}) in {{ yes }} then coalesce(lower({{ positive_label }}), '') not in {{ no }}
        when lower({{ text }}) in {{ no }} then coalesce(lower({{ positive_label }}), '') in {{ no }}
    end
{%- endmacro %}

{# What an outcome of this name is: what the seed outcome_kinds says in `kind`, else what its name says by itself. #}
{% macro outcome_kind(kind, outcome_name) -%}
    coalesce(
        {{ kind }},
        case {{ outcome_name }}
            when 'revenue' then 'money'
            when 'churned' then 'churn'
            when 'opportunity' then 'opportunity'
            else 'other'
        end
    )
{%- endmacro %}

{# Kinds of outcomes whose label answers with yes or no. #}
{% macro yes_or_no_kinds() %}
    {{ return("('churn', 'renewal')") }}
{% endmacro %}

{# Why a raw table, or what is made of it, is not known for some day: the table is late, or the setting `inputs` leaves it out. #}
{% macro not_delivered(table, source=none) -%}
    '{{ (source or table) ~ '_not_delivered' if table in setting('inputs') else table ~ '_left_out' }}'
{%- endmacro %}

{# Why it may not be known which of user and model was right, in the order in which it is asked. #}
{% macro override_unknowns() %}
    {{ return(['outcome_depends_on_action', 'no_final_decision', 'final_decision_not_read', 'no_label', 'cell_not_valued']) }}
{% endmacro %}

{# The links from a decision to its value, in their order. #}
{% macro chain_links() %}
    {{ return(['features_present', 'predicted', 'shown', 'acted_on', 'outcome', 'value']) }}
{% endmacro %}

{# The types of cost that the raw contract knows. #}
{% macro cost_types() %}
    {% for column in contract('serving_costs').columns if column.name == 'cost_type' %}
        {{ return(column.one_of) }}
    {% endfor %}
{% endmacro %}

{# CTE `days`: each day from first_day to last_day of the one row of `bounds`. #}
{% macro day_ctes(bounds) -%}
numbers as (

    -- 300 years, as many as the contract admits
    -- noqa: disable=LT05
    {{ dbt.generate_series(110000) }}

),

days as (

    select
        cast({{ dbt.dateadd('day', 'cast(numbers.generated_number as int) - 1', bounds ~ '.first_day') }} as date) as date_day
    from {{ bounds }}
    cross join numbers
    where numbers.generated_number <= {{ dbt.datediff(bounds ~ '.first_day', bounds ~ '.last_day', 'day') }} + 1

)
{%- endmacro %}
