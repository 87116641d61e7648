{#  How metrics become totals per unit of an experiment. A semantic model says under meta which of its columns name units
    (unit_columns), when its rows happened (event_at, else by day), and what its bricks wait for (known_after), such as a column that
    says since when they stand as they do (settled_at), unless their measure says it. #}

{# The bricks of a metric's value, each once. #}
{% macro bricks_of(metric) %}
    {{ return([metric.numerator, metric.denominator] | reject('none') | unique | list) }}
{% endmacro %}

{# Units that a metric can be read for: those that all its facts carry. A shape is no mean of units. #}
{% macro unit_types(metric) %}
    {% if metric.computed_in %}{{ return([]) }}{% endif %}
    {% set all_bricks = bricks() %}
    {% set shared = namespace(types=['user', 'entity', 'prediction']) %}
    {% for name in bricks_of(metric) %}
        {% set carried = all_bricks[name].semantic_model.config.meta.get('unit_columns', {}) %}
        {% set shared.types = shared.types | select('in', carried) | list %}
    {% endfor %}
    {{ return(shared.types) }}
{% endmacro %}

{# When a metric is known of an event: label where a brick of it waits for that, what it leaves out too, outcome where those are
   reported late, else event. #}
{% macro known_after(metric) %}
    {% set all_bricks = bricks() %}
    {% set waits = [] %}
    {% for name in bricks_of(metric) + ([metric.excluded] if metric.excluded in all_bricks else []) %}
        {% do waits.append(brick_known_after(all_bricks[name])) %}
    {% endfor %}
    {{ return('label' if 'label' in waits else 'outcome' if 'outcome' in waits else 'event') }}
{% endmacro %}

{# Days from an event until a metric is known of it, by the kind of wait and its model. #}
{% macro days_until_known(kind, models) -%}
    case {{ kind }}
            when 'label' then {{ models }}.horizon_days + {{ models }}.label_delay_days
            when 'outcome' then {{ models }}.label_delay_days
            else 0
        end
{%- endmacro %}

{# When a brick is known of its row: with the event, once it is settled (settled_at), with reported outcomes or with the label. Its
   measure says so, else its fact. #}
{% macro brick_known_after(brick) %}
    {{ return(brick.lift.get('known_after') or brick.semantic_model.config.meta.get('known_after', 'event')) }}
{% endmacro %}

{# The column that says since when a brick of a row stands as it does; none where that is so from the event on. #}
{% macro brick_settled_at(brick) %}
    {% set column = brick.lift.get('settled_at') or brick.semantic_model.config.meta.get('settled_at') %}
    {{ return(none if brick_known_after(brick) == 'event' else column) }}
{% endmacro %}

{# The bricks that unit totals hold: those of a metric that an experiment reads, by name. #}
{% macro unit_bricks() %}
    {% set all_bricks = bricks() %}
    {% set read_bricks = {} %}
    {% for metric in lifted_metrics() %}
        {% for name in bricks_of(metric) %}
            {% do read_bricks.update({name: all_bricks[name]}) %}
        {% endfor %}
    {% endfor %}
    {{ return(read_bricks) }}
{% endmacro %}

{# Semantic models whose rows carry a unit and sum a brick of unit totals, each with those bricks. #}
{% macro unit_facts() %}
    {% set facts = {} %}
    {% for name, brick in unit_bricks() | dictsort %}
        {% set fact = brick.semantic_model %}
        {% if fact.name not in facts %}
            {% do facts.update({fact.name: {'semantic_model': fact, 'bricks': {}}}) %}
        {% endif %}
        {% do facts[fact.name].bricks.update({name: brick}) %}
    {% endfor %}
    {{ return(facts) }}
{% endmacro %}

{# Whether a fact of a host is among those of unit totals. Nobody knows which of its units changed, so each build totals all. #}
{% macro totals_a_host() %}
    {% for fact in unit_facts().values() if is_of_host(fact.semantic_model) %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}

{# The day on which the days of the units begin that are computed now, by unit type; a type without such a unit has none. What is
   known of a prediction counts from ever on, and so does all where the warehouse may not be asked. #}
{% macro unit_days_begin() %}
    {% set ever = '1900-01-01' %}
    {% if not may_look() or model.resource_type != 'model' or not load_relation(ref('fct_assignments')) %}
        {{ return({'user': ever, 'entity': ever, 'prediction': ever}) }}
    {% endif %}
    {% set begins = {} %}
    {% for row in rows_of("
        select unit_type, cast(cast(min(" ~ dbt.dateadd('day', '(-covariate_days - label_wait_days)', 'exposed_at') ~ ") as date) as " ~ dbt.type_string() ~ ")
        from " ~ ref('fct_assignments') ~ "
        where " ~ touched('assigned_date', 'unit_id') ~ "
        group by unit_type
    ") %}
        {% do begins.update({row[0]: ever if row[0] == 'prediction' else row[1]}) %}
    {% endfor %}
    {{ return(begins) }}
{% endmacro %}

{# CTEs that total the bricks of one fact per row of `units`: its rows by unit, those that lie in the days of a unit, the sums.
   A fact without event_at has rows by day: for them the window begins with the day of the exposure. Before exposure counts what
   was known by then: bricks that were settled, and labels that had matured, of as many days. #}
{% macro unit_total_ctes(fact, begins) %}
    {%- set semantic_model = fact.semantic_model -%}
    {%- set meta = semantic_model.config.meta -%}
    {%- set clock = 'at' if meta.event_at else 'on' -%}
    {%- set happened = meta.event_at or date_column(semantic_model) -%}
    {#- what bricks wait for, by its name, and that name by brick -#}
    {%- set waits = {} -%}
    {%- set wait_of = {} -%}
    {%- for name, brick in fact.bricks.items() -%}
        {%- set wait = {'known_after': brick_known_after(brick), 'settled_at': brick_settled_at(brick)} -%}
        {%- do wait_of.update({name: wait.values() | select | join('_')}) -%}
        {%- do waits.update({wait_of[name]: wait}) -%}
    {%- endfor -%}
    {%- set waits_for_label = 'label' in waits.values() | map(attribute='known_after') -%}
{{ semantic_model.name }}_events as {{ not_materialized() }} (
    {% for unit_type, column in meta.unit_columns.items() %}
    select
        '{{ unit_type }}' as unit_type,
        {{ column }} as unit_id,
        model_id,
        {%- for name, brick in fact.bricks.items() %}
        cast({{ brick.expression }} as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        {%- for settled_at in waits.values() | map(attribute='settled_at') | select | unique %}
        coalesce({{ settled_at }}, cast({{ happened }} as timestamp)) as {{ settled_at }},
        {%- endfor %}
        cast({{ happened }} as timestamp) as happened_at
    from {{ fact_relation(semantic_model) }}
    where {{ happened ~ " >= cast('" ~ begins[unit_type] ~ "' as date)" if unit_type in begins else '1 = 0' }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{{ semantic_model.name }}_of_units as (

    select
        units.experiment_id,
        units.unit_id,
        units.variant,
        {%- for name, brick in fact.bricks.items() %}
        {{ 'cast(case when events.' ~ name ~ ' <> 0 then 1 else 0 end as ' ~ type_double() ~ ') as ' if brick.lift.per_unit == 'any' else 'events.' }}{{ name }},
        {%- endfor %}
        {%- for name, wait in waits.items() %}
        {%- set is_label = wait.known_after == 'label' %}
        {%- set shift = 'label_' if is_label else '' %}
        {%- set is_known = 'events.happened_at < units.' ~ ('label_covariate_ends_' if is_label else 'counted_from_') ~ clock %}
        {%- if wait.settled_at %}
        {%- set is_known = is_known ~ ' and events.' ~ wait.settled_at ~ ' < units.counted_from_' ~ clock %}
        {%- endif %}
        {{ is_known }} and events.happened_at >= units.{{ shift }}covariate_starts_{{ clock }} as is_before_{{ name }},
        {{ is_known }} and events.happened_at >= units.{{ shift }}covariate_halves_{{ clock }} as is_just_before_{{ name }},
        {%- endfor %}
        events.happened_at >= units.counted_from_{{ clock }} as is_in_window
    from units
    inner join {{ semantic_model.name }}_events as events
        on units.unit_type = events.unit_type
        and units.unit_id = events.unit_id
        and units.model_id = coalesce(events.model_id, units.model_id)
        and units.{{ 'label_' if waits_for_label }}covariate_starts_{{ clock }} <= events.happened_at
        and units.window_ends_{{ clock }} > events.happened_at

),

{{ semantic_model.name }}_totals as (

    select
        experiment_id,
        unit_id,
        variant,
        {%- for name, brick in fact.bricks.items() %}
        {%- set total = 'max' if brick.lift.per_unit == 'any' else 'sum' %}
        {{ total }}(case when is_in_window then {{ name }} end) as {{ name }},
        {{ total }}(case when is_before_{{ wait_of[name] }} then {{ name }} end) as {{ name }}_before,
        {{ total }}(case when is_just_before_{{ wait_of[name] }} then {{ name }} end) as {{ name }}_just_before{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ semantic_model.name }}_of_units
    group by experiment_id, unit_id, variant

)
{%- endmacro %}

{# The governed metrics that experiments read; where none is declared or none can be asked, those of tier core. #}
{% macro lifted_metrics() %}
    {% set named = declared_metrics() %}
    {% set lifted = [] %}
    {% for metric in metrics() if unit_types(metric) and (metric.name in named if named else metric.card.tier == 'core') %}
        {% do lifted.append(metric) %}
    {% endfor %}
    {{ return(lifted) }}
{% endmacro %}

{# Names of the metrics in the seeds of experiments, as they stand in the warehouse. #}
{% macro declared_metrics() %}
    {% set names = [] %}
    {% if may_look() and model.resource_type == 'model' and load_relation(ref('cfg_experiment_guardrails')) %}
        {% set lists = rows_of("
            select primary_metric, secondary_metrics, uptake_metric from " ~ ref('cfg_experiments') ~ "
            union all
            select metric, null, null from " ~ ref('cfg_experiment_guardrails')
        ) %}
        {% for row in lists %}
            {% for name in (row[0] ~ ';' ~ (row[1] or '') ~ ';' ~ (row[2] or '')).split(';') %}
                {% do names.append(name | trim) %}
            {% endfor %}
        {% endfor %}
    {% endif %}
    {{ return(names) }}
{% endmacro %}

{# How far a unit of an experiment has come: -2 it met several variants, -1 it was exposed outside the days, neither of which counts;
   0 exposed, 1 its window is over, 2 and all outcomes of it reported, 3 and all labels of it matured. #}
{% macro unit_maturity(totals) -%}
    case
            when {{ totals }}.is_multi_exposed then -2
            when {{ totals }}.is_late then -1
            when {{ totals }}.label_known_at <= {{ as_of() }} then 3
            when {{ totals }}.outcome_known_at <= {{ as_of() }} then 2
            when {{ totals }}.event_known_at <= {{ as_of() }} then 1
            else 0
        end
{%- endmacro %}

{# The maturity from which on a metric of a unit is known. #}
{% macro maturity_for(metric) %}
    {{ return({'event': 1, 'outcome': 2, 'label': 3}[known_after(metric)]) }}
{% endmacro %}

{# Bricks of a metric that a unit without a row has not; such a unit does not count. #}
{% macro dropped_bricks(metric) %}
    {% set dropped = [] %}
    {% for name in bricks_of(metric) if bricks()[name].lift.missing == 'drop' %}
        {% do dropped.append(name) %}
    {% endfor %}
    {{ return(dropped) }}
{% endmacro %}

{# CTEs that end in `unit_segments`: the segments of the latest of `decisions` about a unit at or before its exposure, and the user
   of a unit that is a prediction. #}
{% macro unit_segment_ctes(begins) -%}
unit_decisions as {{ not_materialized() }} (
    {% for unit_type, column in {'user': 'user_id', 'entity': 'entity_id', 'prediction': 'prediction_id'}.items() %}
    select
        '{{ unit_type }}' as unit_type,
        {{ column }} as unit_id,
        {%- for segment in setting('segments') %}
        {{ segment }},
        {%- endfor %}
        {{ 'user_id' if unit_type == 'prediction' else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as user_id,
        prediction_id,
        predicted_at
    from decisions
    {%- if unit_type not in begins or not (setting('segments') or unit_type == 'prediction') %}
    where 1 = 0
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

latest_moments as (

    select
        assignments.experiment_id,
        assignments.unit_id,
        assignments.variant,
        assignments.unit_type,
        max(unit_decisions.predicted_at) as predicted_at
    from assignments
    inner join unit_decisions
        on assignments.unit_type = unit_decisions.unit_type
        and assignments.unit_id = unit_decisions.unit_id
        and (assignments.unit_type = 'prediction' or assignments.exposed_at >= unit_decisions.predicted_at)
    group by assignments.experiment_id, assignments.unit_id, assignments.variant, assignments.unit_type

),

latest_decisions as (

    select
        latest_moments.experiment_id,
        latest_moments.unit_id,
        latest_moments.variant,
        {%- for segment in setting('segments') %}
        unit_decisions.{{ segment }},
        {%- endfor %}
        unit_decisions.user_id,
        row_number() over (
            partition by latest_moments.experiment_id, latest_moments.unit_id, latest_moments.variant
            order by unit_decisions.prediction_id desc nulls last
        ) as decision_rank
    from latest_moments
    inner join unit_decisions
        on latest_moments.unit_type = unit_decisions.unit_type
        and latest_moments.unit_id = unit_decisions.unit_id
        and latest_moments.predicted_at = unit_decisions.predicted_at

),

unit_segments as (

    select * from latest_decisions where decision_rank = 1

)
{%- endmacro %}

{# The mean of one side of an estimate, control or treatment. Where there is no estimate, that of a small arm is not shown. #}
{% macro shown_mean(estimates, side) -%}
    case
            when {{ estimates }}.status in ('not_ready', 'refused')
                and coalesce({{ estimates }}.cluster_count_{{ side }}, {{ estimates }}.unit_count_{{ side }}) < {{ setting('minimum_cell') }}
                then null
            else {{ estimates }}.mean_{{ side }}
        end
{%- endmacro %}

{# How good the evidence of an experiment is: A where chance said who got what, B of another comparison. #}
{% macro experiment_grade(experiments, decisions) -%}
    case when coalesce({{ experiments }}.comparison, 'randomised') = 'randomised' and {{ decisions }}.method <> 'did' then 'A' else 'B' end
{%- endmacro %}
