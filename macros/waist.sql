{# The SQL of the waist: the sums of bricks, and which of them are made anew. #}

{# One select per metric, role, brick and segment: what `fct_metrics` joins to the bricks. #}
{% macro metric_bricks() %}
    {% set rows = [] %}
    {% for metric in metrics() %}
        {% set shared = shared_segments(metric) %}
        {#- what is counted once, or kept, is mostly there in another role and needs no row of its own -#}
        {% set roles = [] %}
        {% set role_of = {} %}
        {% for role in ['numerator', 'denominator', 'excluded', 'counted', 'once', 'kept'] if metric[role] %}
            {% if role not in ['once', 'kept'] or metric[role] not in role_of %}
                {% do roles.append(role) %}
                {% do role_of.setdefault(metric[role], role) %}
            {% endif %}
        {% endfor %}
        {% for role in roles %}
            {% for segment in ['all'] + shared.segments %}
                {% do rows.append({
                    'metric': metric.name,
                    'role': role,
                    'brick': metric[role],
                    'segment_name': segment,
                    'is_versioned': shared.versioned,
                    'has_denominator': metric.denominator is not none,
                    'is_rebuilt': metric.name in rebuilt('metric'),
                    'is_additive': not metric.computed_in,
                    'counts_once': role == role_of[metric.once],
                    'counts_kept': role == role_of.get(metric.kept),
                    'counts_squares': role == ('numerator' if metric.card.get('balance_points') else 'denominator'),
                    'counts_units': role == ('counted' if metric.counted else 'denominator' if metric.denominator else 'numerator'),
                }) %}
            {% endfor %}
        {% endfor %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}

{# Whether the fact of a semantic model is rebuilt by each build, and with it all sums over it. Of a fact of a host nobody knows what
   changed in it, so it is summed whole. #}
{% macro is_rebuilt(semantic_model) %}
    {{ return(is_of_host(semantic_model) or graph.nodes[semantic_model.depends_on.nodes[0]].config.materialized != 'incremental') }}
{% endmacro %}

{# The names of the bricks, or metrics, that each build sums anew: those over a fact that it rebuilds. #}
{% macro rebuilt(kind) %}
    {% set memory = remembered() %}
    {% if 'rebuilt ' ~ kind not in memory %}
        {% set names = [] %}
        {% for name, brick in bricks().items() if kind == 'brick' and is_rebuilt(brick.semantic_model) %}
            {% do names.append(name) %}
        {% endfor %}
        {% set anew = rebuilt('brick') if kind == 'metric' else [] %}
        {% for fact in semantic_models() if kind == 'brick' and is_rebuilt(fact) %}
            {% do names.append(rows_brick(fact)) %}
        {% endfor %}
        {% for metric in (metrics() if kind == 'metric' else []) if [metric.numerator, metric.denominator, metric.excluded, metric.counted] | select('in', anew) | list %}
            {% do names.append(metric.name) %}
        {% endfor %}
        {% do memory.update({'rebuilt ' ~ kind: names}) %}
    {% endif %}
    {{ return(memory['rebuilt ' ~ kind]) }}
{% endmacro %}

{# Rows of literals as a query, a row per line; the first names the columns and gives their types. #}
{% macro literal_rows(rows, columns) %}
    {%- for row in rows %}
    {%- set is_first = loop.first %}
    select {% for name in columns -%}
        {%- set value = row[name] -%}
        {{ literal(value) ~ ' as ' ~ name if is_first else text_literal(value | trim) if value is string else literal(value) }}
        {{- ', ' if not loop.last }}
    {%- endfor %}{{ ' union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{% macro literal(value) -%}
    {%- if value is boolean -%}
        {{ value | lower }}
    {%- elif value is none -%}
        cast(null as {{ dbt.type_string() }})
    {%- elif value is string -%}
        cast({{ text_literal(value | trim) }} as {{ dbt.type_string() }})
    {%- else -%}
        cast({{ value }} as {{ type_double() }})
    {%- endif -%}
{%- endmacro %}

{# The value that a row of `rows` has in the segment a row of `named` names; `all` for the whole. #}
{% macro segment_value(named, rows, segments) -%}
    case {{ named }}.segment_name {% for segment in segments %}when '{{ segment }}' then {{ rows }}.{{ segment }} {% endfor %}when 'all' then 'all' end
{%- endmacro %}

{# The brick that counts the rows of a fact, for the rule of privacy. No metric may use it. #}
{% macro rows_brick(fact) %}{{ return(fact.name ~ '_rows') }}{% endmacro %}

{# What is summed over one fact: its rows, and its measures by name. Squares are summed of weights alone: the square of an
   amount may be too large or too small for a number. #}
{% macro summed_measures(fact) %}
    {% set weights = [] %}
    {% for metric in metrics() if metric.card.get('is_proportion') or metric.card.get('balance_points') %}
        {% do weights.append(squared_brick(metric)) %}
    {% endfor %}
    {% set summed = [{'name': rows_brick(fact), 'expression': fact.config.meta.get('rows_held', '1'), 'is_weight': false}] %}
    {% for measure in measures_of(fact) %}
        {% do summed.append({'name': measure.name, 'expression': measure.expr, 'is_weight': measure.name in weights}) %}
    {% endfor %}
    {{ return(summed) }}
{% endmacro %}

{# The brick whose squares tell how sure a metric is: the weights of a proportion; of a balance, what its units add and take. #}
{% macro squared_brick(metric) %}
    {{ return(metric.numerator if metric.card.get('balance_points') else metric.denominator) }}
{% endmacro %}

{# CTEs that sum the bricks of one fact: once over all its dimensions, then for the total and each segment, then long. #}
{% macro brick_ctes(fact) %}
    {%- set segments = segments_of(fact) -%}
    {%- set measures = summed_measures(fact) -%}
    {%- set weights = measures | selectattr('is_weight') | map(attribute='name') | list -%}
    {%- set double = type_double() -%}
    {#- a fact of sums says how many rows each of its own holds -#}
    {%- set rows_held = fact.config.meta.get('rows_held') -%}
{{ fact.name }}_cells as (

    select
        {{ date_column(fact) }} as metric_date,
        coalesce(model_id, '(none)') as model_id,
        {{ "coalesce(model_version, '(none)')" if is_versioned(fact) else "'all'" }} as model_version,
        {%- for segment in segments %}
        coalesce({{ segment }}, '(unknown)') as {{ segment }},
        {%- endfor %}
        {%- for measure in measures %}
        cast(sum({{ measure.expression }}) as {{ double }}) as {{ measure.name }},
        {%- if measure.is_weight %}
        cast(sum(({{ measure.expression }}) * ({{ measure.expression }}){{ ' / ' ~ rows_held if rows_held else '' }}) as {{ double }}) as {{ measure.name }}_squares,
        {%- endif %}
        sum(case when ({{ measure.expression }}) <> 0 then {{ rows_held or 1 }} else 0 end) as {{ measure.name }}_units{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ fact_relation(fact) }}
    {%- if not is_rebuilt(fact) %}
    where {{ touched(date_column(fact)) }}
    {%- endif %}
    group by {{ range(1, 4 + segments | length) | join(', ') }}

),

{{ fact.name }}_segments as (
    {% for segment in ['all'] + segments %}
    select '{{ segment }}' as segment_name
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{{ fact.name }}_totals as (

    select
        cells.metric_date,
        cells.model_id,
        cells.model_version,
        segments.segment_name,
        {{ segment_value('segments', 'cells', segments) }} as segment_value,
        {%- for measure in measures %}
        sum(cells.{{ measure.name }}) as {{ measure.name }},
        {%- if measure.is_weight %}
        sum(cells.{{ measure.name }}_squares) as {{ measure.name }}_squares,
        {%- endif %}
        sum(cells.{{ measure.name }}_units) as {{ measure.name }}_units{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ fact.name }}_cells as cells
    cross join {{ fact.name }}_segments as segments
    group by 1, 2, 3, 4, 5

),

{{ fact.name }}_names as (
    {% for measure in measures %}
    select '{{ measure.name }}' as brick
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{{ fact.name }}_long as (

    select
        names.brick,
        totals.metric_date,
        totals.model_id,
        totals.model_version,
        totals.segment_name,
        totals.segment_value,
        case names.brick {% for measure in measures %}when '{{ measure.name }}' then totals.{{ measure.name }} {% endfor %}end as amount,
        {%- if weights %}
        case names.brick {% for name in weights %}when '{{ name }}' then totals.{{ name }}_squares {% endfor %}else 0 end as square_sum,
        {%- else %}
        cast(0 as {{ double }}) as square_sum,
        {%- endif %}
        cast(case names.brick {% for measure in measures %}when '{{ measure.name }}' then totals.{{ measure.name }}_units {% endfor %}end as bigint) as unit_count
    from {{ fact.name }}_totals as totals
    cross join {{ fact.name }}_names as names

),

{{ fact.name }}_bricks as (

    select * from {{ fact.name }}_long where unit_count > 0

)
{%- endmacro %}
