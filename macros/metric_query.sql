{# Prints, by run-operation, one line of JSON: the plain query of each metric asked for, all of them where none is named, the names of
   all metrics, and of those that are told of one model alone. #}
{% macro print_metric_queries(names, model_id, first_date, last_date) %}
    {% set queries, of_one_model = {}, [] %}
    {% for metric in metrics() %}
        {% set shape_query = context.get(metric.name ~ '_query') if metric.card.get('shape') == 'computed' %}
        {% do of_one_model.append(metric.name) if shape_query %}
        {% if names and metric.name not in names or shape_query and not model_id %}
        {% elif shape_query %}
            {% set about = '-- ' ~ metric.label ~ ' of ' ~ model_id ~ ', ' ~ first_date ~ ' to ' ~ last_date %}
            {% do queries.update({metric.name: about ~ '\n' ~ shape_query(model_id, first_date, last_date)}) %}
        {% elif is_brick_formula(metric) %}
            {% set query = customers_query if metric.card.get('shape') else metric_query %}
            {% do queries.update({metric.name: query(metric, model_id, first_date, last_date)}) %}
        {% endif %}
    {% endfor %}
    {% set told = {'queries': queries, 'of_one_model': of_one_model, 'metrics': metrics() | map(attribute='name') | list} %}
    {{ print('QUERIES ' ~ tojson(told)) }}
{% endmacro %}

{# The query of one number of a metric, from its facts to its value: what a reviewer reads in place of the waist. #}
{% macro metric_query(metric, model_id, first_date, last_date) %}
    {%- set inputs = {'numerator': metric.numerator} -%}
    {%- if metric.denominator -%}
        {%- do inputs.update({'denominator': metric.denominator}) -%}
    {%- endif -%}
    {%- set ctes = {'sums': inputs} -%}
    {%- if is_cross_fact(metric) -%}
        {%- set ctes = {'numerators': {'numerator': metric.numerator}, 'denominators': {'denominator': metric.denominator}} -%}
    {%- endif %}
-- {{ metric.label }} of {{ model_id or 'all models' }}, {{ first_date }} to {{ last_date }}
with {% for cte, bricks_of_it in ctes.items() %}
{{- cte }} as (

    {{ brick_sums(bricks_of_it, model_id, first_date, last_date) }}

){{ ',\n\n' if not loop.last }}
{%- endfor %}

select
    {%- for name in inputs %}
    {{ name }},
    {%- endfor %}
    {{ 'numerator / nullif(denominator, 0)' if metric.denominator else 'numerator' }} as value
from {{ ctes | join(' cross join ') }}
{%- endmacro %}

{# The sums of bricks of one fact over days, as a query: the name of a column -> its brick. #}
{% macro brick_sums(columns, model_id, first_date, last_date) -%}
    {%- set all_bricks = bricks() -%}
    {%- set fact = all_bricks[columns.values() | first].semantic_model -%}
    select
        {%- for column, name in columns.items() %}
        -- {{ name }}: {{ all_bricks[name].description | trim | replace('\n', ' ') }}
        coalesce(cast(sum({{ all_bricks[name].expression | trim }}) as {{ type_double() }}), 0) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref(fact.refs[0].name).include(database=false) }}
    where
        {{ date_column(fact) }} between date '{{ first_date }}' and date '{{ last_date }}'
        {%- if model_id %}
        and model_id = {{ text_literal(model_id) }}
        {%- endif %}
{%- endmacro %}

{# The query of one number that counts customers: each once, at their last check of the days, unless they had left before. #}
{% macro customers_query(metric, model_id, first_date, last_date) %}
    {%- set outcomes = ref('fct_outcomes').include(database=false) %}
-- {{ metric.label }} of {{ model_id or 'all models' }}, {{ first_date }} to {{ last_date }}
with checks as (

    select
        model_id || ' ' || coalesce(entity_id, user_id, credited_prediction_id) as customer_id,
        coalesce(outcome_label = 'true', false) as has_left,
        outcome_date,
        row_number() over (
            partition by model_id, coalesce(entity_id, user_id, credited_prediction_id), outcome_date >= date '{{ first_date }}'
            order by occurred_at desc, outcome_id desc
        ) as place
    from {{ outcomes }}
    where
        outcome_kind = 'churn' and is_final and outcome_date <= date '{{ last_date }}'
        and {{ 'model_id = ' ~ text_literal(model_id) if model_id else 'model_id is not null' }}

),

before as (

    select customer_id from checks where place = 1 and outcome_date < date '{{ first_date }}' and has_left

)

select
    {%- if metric.denominator %}
    coalesce(sum(case when has_left then 1 else 0 end), 0) as numerator,
    count(*) as denominator,
    sum(case when has_left then 1.0 else 0.0 end) / nullif(count(*), 0) as value
    {%- else %}
    count(*) - coalesce(sum(case when has_left then 1 else 0 end), 0) as numerator,
    count(*) - coalesce(sum(case when has_left then 1 else 0 end), 0) as value
    {%- endif %}
from checks
where place = 1 and outcome_date >= date '{{ first_date }}' and customer_id not in (select customer_id from before)
{%- endmacro %}
