-- One row per brick, day, model, version, segment and segment value with a sum other than nothing.
-- depends_on: {{ ref('fct_decisions') }}
-- depends_on: {{ ref('fct_lists') }}
-- depends_on: {{ ref('fct_usage') }}
-- depends_on: {{ ref('fct_outcomes') }}
-- depends_on: {{ ref('fct_costs') }}
-- depends_on: {{ ref('fct_feedback') }}
-- depends_on: {{ ref('fct_releases') }}
-- depends_on: {{ ref('fct_version_days') }}
-- depends_on: {{ ref('fct_rejections') }}
-- depends_on: {{ ref('int_touched_dates') }}
{%- do read_facts() %}
{%- set facts = semantic_models() if execute else [] %}
with
{% for fact in facts %}
{{ brick_ctes(fact) }},
{% endfor %}
stacked as (

    {% for fact in facts -%}
    select * from {{ fact.name }}_bricks
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

)

select * from stacked
