{# The metrics of a saved query, as in `metrics()`, each with whether it is of two facts. Stops at a saved query of another grain than its mart. #}
{% macro saved_query_metrics(name) %}
    {% set query = graph.saved_queries['saved_query.' ~ package_name() ~ '.' ~ name].query_params %}
    {% if query.where or query.group_by | list != ["Entity('model')", "TimeDimension('metric_time', 'month')"] %}
        {{ stop("saved query " ~ name ~ " must group by Entity('model') and TimeDimension('metric_time', 'month'), without where: that is the grain of its mart.") }}
    {% endif %}
    {% set asked = [] %}
    {% for metric in metrics() if metric.name in query.metrics %}
        {% do asked.append(dict(metric, is_cross_fact=is_cross_fact(metric))) %}
    {% endfor %}
    {{ return(asked) }}
{% endmacro %}

{# CTEs that answer a saved query from the waist; the last bears its name. Reads the CTEs `metric_days` and `models`. #}
{% macro saved_query_ctes(name) %}
    {%- set asked = saved_query_metrics(name) if execute else [] -%}
    {%- set month = 'cast(' ~ dbt.date_trunc('month', 'metric_date') ~ ' as date)' -%}
{{ name }}_months as (

    select
        model_id,
        {%- for metric in asked %}
        {%- set rows = "filter (where metric = '" ~ metric.name ~ "')" %}
        {#- a month of excluded rows alone has no sum, rather than zero #}
        {{ safe_ratio('sum(numerator) ' ~ rows, 'sum(denominator) ' ~ rows) if metric.denominator
            else 'sum(case when unit_count > 0 then numerator end) ' ~ rows }} as {{ metric.name }},
        {%- endfor %}
        {{ month }} as month_start_date
    from metric_days
    where
        segment_name = 'all'
        and metric in ('{{ asked | map(attribute='name') | join("', '") }}')
    group by model_id, {{ month }}

),

{{ name }} as (

    select
        months.model_id,
        {%- for metric in asked %}
        {%- set value = 'months.' ~ metric.name %}
        {%- if metric.is_cross_fact %}
        {#- a model that never had a numerator has no value, rather than zero #}
        case when max(abs({{ value }})) over (partition by months.model_id) > 0 then {{ value }} end as {{ metric.name }},
        {%- else %}
        {{ value }},
        {%- endif %}
        {%- endfor %}
        cast({{ dbt.last_day('months.month_start_date', 'month') }} as date)
        <= coalesce({{ last_matured_date('models') }}, cast({{ dbt.dateadd('day', -1, as_of_date()) }} as date)) as is_matured,
        months.month_start_date
    from {{ name }}_months as months
    left join models on months.model_id = models.model_id

)
{%- endmacro %}
