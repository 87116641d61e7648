{# Until which day a source is complete. The freshness of a raw table says how far it may lag. #}

{# The days after which a raw table is late, by its `error_after`; without a table, as a case over `feeds.source_name`. #}
{% macro late_after_days(table=none) %}
    {% set names = [table] if table else ['prediction_logs', 'usage_events', 'business_outcomes', 'eligible_users'] %}
    {% set days = {} %}
    {% for name in (names if execute else []) %}
        {% set limit = graph.sources['source.' ~ package_name() ~ '.raw.' ~ name].freshness.error_after %}
        {% do days.update({name: limit.count / {'day': 1, 'hour': 24, 'minute': 1440}[limit.period | string]}) %}
    {% endfor %}
    {% if table %}
        {{ return(days.get(table, 0)) }}
    {% endif %}
    {% set branches = [] %}
    {% for name, count in days.items() %}
        {% do branches.append("when '" ~ name ~ "' then " ~ count) %}
    {% endfor %}
    {{ return('case feeds.source_name ' ~ (branches or ["when '' then 0"]) | join(' ') ~ ' end') }}
{% endmacro %}

{# Whether the last event of a feed lies no more than `late_after` days before as_of. #}
{% macro is_on_time(last_at, late_after) -%}
    {{ dbt.datediff(last_at, as_of(), 'second') }} <= 86400 * ({{ late_after }})
{%- endmacro %}

{# The last day that a feed covers in full. A late feed may have stopped at noon, so the day of its last event does not count. #}
{% macro known_through(last_at, late_after, last_day) -%}
    case
        when {{ is_on_time(last_at, late_after) }} then {{ last_day }}
        else cast({{ dbt.dateadd('day', -1, 'cast(' ~ last_at ~ ' as date)') }} as date)
    end
{%- endmacro %}

{# Whether a type of cost has ended, rather than being late: it was silent for 62 days and three of its usual periods. #}
{% macro has_ended(last_at, usual_days) -%}
    {{ dbt.datediff(last_at, as_of(), 'day') }} > greatest(62, 3 * {{ usual_days }})
{%- endmacro %}

{# The columns of a group of outcomes of one name that tell how often it becomes known: the days with one, the usual gap between them, and
   for how long none became known while others did. Days that come by chance leave five usual gaps empty on fewer than one day in a
   hundred; a name of few days has no rhythm. #}
{% macro outcome_rhythm() -%}
    max(observed_at) as last_known_at,
    count(distinct cast(observed_at as date)) >= 10 as has_rhythm,
    {{ safe_ratio(
        dbt.datediff('min(observed_at)', 'max(observed_at)', 'day'),
        'count(distinct cast(observed_at as date)) - 1'
    ) }} as usual_days,
    {{ dbt.datediff('max(observed_at)', 'max(max(observed_at)) over ()', 'day') }} as silent_days
{%- endmacro %}

{# Whether a name of outcomes has ended, rather than being late, by the columns of outcome_rhythm. #}
{% macro outcome_has_ended() -%}
    silent_days > greatest(62, 10 * usual_days)
{%- endmacro %}

{# The types of cost of which none is awaited, as a list in SQL. #}
{% macro one_off_costs() %}('{{ setting("one_off_costs") | join("', '") }}'){% endmacro %}

{# The sources that a brick waits for: those of its measure, else of its semantic model, and what tells of labels and of use. #}
{% macro brick_sources(brick) %}
    {% set meta = brick.semantic_model.config.meta %}
    {% set sources = (brick.lift.get('delivered_by') or meta.get('delivered_by', [])) | list %}
    {% do sources.append('labels') if brick_known_after(brick) == 'label' %}
    {% do sources.append(meta.settled_by) if meta.get('settled_by') and brick_settled_at(brick) %}
    {{ return(sources) }}
{% endmacro %}

{# A row per governed metric and source that its value waits for. #}
{% macro metric_sources() %}
    {% set rows = [] %}
    {% for metric in metrics() %}
        {% set sources = [] %}
        {% for name in bricks_of(metric) %}
            {% do sources.extend(brick_sources(bricks()[name])) %}
        {% endfor %}
        {% for source in sources | unique %}
            {% do rows.append({'metric': metric.name, 'source_name': source}) %}
        {% endfor %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# The raw tables that the setting inputs leaves out. #}
{% macro tables_left_out() %}
    {{ return(raw_tables() | reject('in', setting('inputs')) | list) }}
{% endmacro %}

{# The sources that nobody is to wait for, since the setting inputs leaves their table out. Use is none of them: what needs it has no
   units without it, and the order of lists may be judged by labels instead. #}
{% macro sources_left_out() %}
    {% set sources = tables_left_out() | reject('equalto', 'usage_events') | list %}
    {% do sources.append('labels') if 'business_outcomes' in sources %}
    {{ return(sources) }}
{% endmacro %}

{# A row per governed metric and condition over dim_models under which it is read. #}
{% macro read_conditions() %}
    {% set branches = [] %}
    {% for metric in metrics() if metric.card.get('read_where') %}
        {% do branches.append("when metrics.metric = '" ~ metric.name ~ "' then " ~ metric.card.read_where) %}
    {% endfor %}
    {{ return('case ' ~ branches | join('\n            ') ~ ' else true end' if branches else 'true') }}
{% endmacro %}
