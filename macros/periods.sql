{# Periods, and what the number of a period needs before it may be read. #}

{# CTEs that turn sums by day into sums by period, over every day since a series began; the last is `periods`. They read the CTEs
   `daily` (keys, metric_date, sums), `series` (keys, first_date, judged_through, is_total) and `dates`. Only totals have days and
   weeks. Period `all` goes from the first day to the last whose labels are known, once there is one. #}
{% macro period_ctes(keys, sums) -%}
dense as (

    select
        {%- for key in keys %}
        series.{{ key }},
        {%- endfor %}
        series.is_total,
        series.first_date,
        series.judged_through,
        dates.date_day,
        dates.month_start_date
        {%- for name in sums %},
        coalesce(daily.{{ name }}, 0) as {{ name }}
        {%- endfor %}
    from series
    inner join dates on series.first_date <= dates.date_day
    left join daily
        on dates.date_day = daily.metric_date
        {%- for key in keys %}
        and series.{{ key }} = daily.{{ key }}
        {%- endfor %}
    where dates.is_complete

),

rolling as (

    select
        {{ keys | join(', ') }},
        is_total,
        date_day
        {%- for name in sums %}
        {%- for days in [7, 28] %},
        sum({{ name }}) over (
            partition by {{ keys | join(', ') }}
            order by date_day nulls last
            rows between {{ days - 1 }} preceding and current row
        ) as {{ name }}_{{ days }}d
        {%- endfor %}
        {%- endfor %}
    from dense

),

months as (

    select
        {{ keys | join(', ') }},
        month_start_date
        {%- for name in sums %},
        sum({{ name }}) as {{ name }}
        {%- endfor %}
    from dense
    group by {{ keys | join(', ') }}, month_start_date

),

periods as (

    select
        {{ keys | join(', ') }},
        'day' as period,
        date_day as period_start_date,
        date_day as period_end_date
        {%- for name in sums %},
        {{ name }}
        {%- endfor %}
    from dense
    where is_total
    {%- for days in [7, 28] %}
    union all
    select
        {{ keys | join(', ') }},
        '{{ days }}d' as period,
        cast({{ dbt.dateadd('day', 1 - days, 'date_day') }} as date) as period_start_date,
        date_day as period_end_date
        {%- for name in sums %},
        {{ name }}_{{ days }}d as {{ name }}
        {%- endfor %}
    from rolling
    {{- '\n    where is_total' if days == 7 }}
    {%- endfor %}
    union all
    -- complete months alone
    select
        {{ keys | join(', ') }},
        'month' as period,
        month_start_date as period_start_date,
        cast({{ dbt.last_day('month_start_date', 'month') }} as date) as period_end_date
        {%- for name in sums %},
        {{ name }}
        {%- endfor %}
    from months
    where cast({{ dbt.last_day('month_start_date', 'month') }} as date) < {{ as_of_date() }}
    union all
    select
        {{ keys | join(', ') }},
        'all' as period,
        first_date as period_start_date,
        judged_through as period_end_date
        {%- for name in sums %},
        sum({{ name }}) as {{ name }}
        {%- endfor %}
    from dense
    where date_day <= judged_through
    group by {{ keys | join(', ') }}, first_date, judged_through

)
{%- endmacro %}

{# CTEs that make `daily` and `series` of `period_ctes` from sums of a fact by day, version and segment: totals and segments over all
   versions, then each version in total. They read the CTE `spans` (int_model_spans). `names` are the columns that name a sum besides. #}
{% macro spread_ctes(fact, date_name, names, sums) -%}
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value'] + names -%}
spread as (

    select
        model_id,
        'all' as model_version,
        segment_name,
        segment_value,
        {{ (names + sums) | join(',\n        ') }},
        {{ date_name }} as metric_date
    from {{ fact }}
    union all
    select
        model_id,
        model_version,
        segment_name,
        segment_value,
        {{ (names + sums) | join(',\n        ') }},
        {{ date_name }} as metric_date
    from {{ fact }}
    where segment_name = 'all'

),

daily as (

    select
        {{ cell | join(', ') }},
        {%- for name in sums %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        metric_date
    from spread
    group by {{ cell | join(', ') }}, metric_date

),

series as (

    select distinct
        {%- for name in cell %}
        daily.{{ name }},
        {%- endfor %}
        spans.first_decision_date as first_date,
        spans.judged_through,
        daily.segment_name = 'all' and daily.model_version = 'all' as is_total
    from daily
    inner join spans on daily.model_id = spans.model_id

)
{%- endmacro %}

{# A query of rows by version, and of the same once more as those of all versions together; `names` are its columns besides. #}
{% macro each_version_and_all(rows, names) -%}
    {% for version in ["'all' as model_version", 'model_version'] -%}
    select
        model_id,
        {{ version }},
        {{ names | join(',\n        ') }},
        decision_date
    from {{ rows }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
{%- endmacro %}

{# A query of the sums of the CTE `spread` (keys, decision_date, sums) over the CTE `periods` (model, period, first and last day). #}
{% macro sums_of_periods(keys, sums) -%}
    select
        {%- for name in keys %}
        spread.{{ name }},
        {%- endfor %}
        periods.period,
        {%- for name in sums %}
        sum(spread.{{ name }}) as {{ name }},
        {%- endfor %}
        periods.period_start_date,
        periods.period_end_date
    from spread
    inner join periods
        on spread.model_id = periods.model_id
        and spread.decision_date >= periods.period_start_date
        and spread.decision_date <= periods.period_end_date
    group by
        {%- for name in keys %}
        spread.{{ name }},
        {%- endfor %}
        periods.period,
        periods.period_start_date,
        periods.period_end_date
{%- endmacro %}

{# The bricks that count rows of facts about a model, by which its first day is known. Arrivals are about files. #}
{% macro event_bricks() %}
    {% set names = [] %}
    {% for fact in semantic_models() if not fact.config.meta.get('counts_arrivals') %}
        {% do names.append(rows_brick(fact)) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# A row per metric and brick whose rows decide which segment values are private: the rows of its facts, and what contributes to an amount. #}
{% macro counted_bricks() %}
    {% set rows = [] %}
    {% set all_bricks = bricks() %}
    {% for metric in metrics() if shared_segments(metric).segments %}
        {% set counted = [metric.numerator] if metric.card.unit in ['currency', 'hours'] else [] %}
        {% for name in bricks_of(metric) + ([metric.excluded] if metric.excluded else []) %}
            {% do counted.append(rows_brick(all_bricks[name].semantic_model)) %}
        {% endfor %}
        {% for name in counted | unique %}
            {% do rows.append({'metric': metric.name, 'counted_brick': name}) %}
        {% endfor %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}
