{# The settings and their defaults. A workspace's vars.yml or --vars overrides any of them. #}
{% macro default_settings() %}
    {{ return({
        'as_of': none,
        'inputs': mapped_tables() if is_installed() else raw_tables(),
        'sources': {},
        'governed': {},
        'facts': [],
        'metrics_off': [],
        'checks_off': [],
        'mapping': {},
        'segments': ['channel', 'device', 'region'],
        'protected_attributes': ['age_band', 'gender'],
        'reference_groups': {},
        'fairness_bound': 0.8,
        'numeric_features': [],
        'categorical_features': [],
        'feature_importance': {},
        'drift_minimum': 0.02,
        'drift_major': 0.1,
        'drift_minimum_count': 100,
        'new_category_maximum': 0.01,
        'reporting_currency': 'USD',
        'minimum_cell': 20,
        'regular_days': 4,
        'embedded_days': 12,
        'minimum_response_rate': 0.2,
        'exact_row_cap': 100000,
        'unit_value_tolerance': 0.2,
        'review_grace_days': 90,
        'one_off_costs': ['training'],
        'variable_costs': ['compute', 'tokens', 'human_review', 'support'],
        'credit_rule': 'last',
        'input_thresholds': {},
        'tolerated_checks': [],
        'alert_severity': 'none',
    }) }}
{% endmacro %}

{# The name of this package, by which its relations are looked up: in a project that installs it, project_name is another. #}
{% macro package_name() %}{{ return('throughline') }}{% endmacro %}

{# Those of nodes of `graph`, by id, that are of this package, by name: a project that installs it has some of its own. #}
{% macro ours(nodes) %}
    {{ return(nodes.values() | selectattr('package_name', 'equalto', package_name()) | sort(attribute='name') | list) }}
{% endmacro %}

{# The raw tables of the contract. dbt asks for them before it has read the contract. #}
{% macro raw_tables() %}
    {{ return([
        'prediction_logs',
        'usage_events',
        'business_outcomes',
        'eligible_users',
        'experiment_assignments',
        'feedback',
        'model_releases',
        'serving_costs',
        'kpi_annotations',
        'alert_actions',
    ]) }}
{% endmacro %}

{# --vars first, then what `throughline use` put into the environment, then the default. A unit test knows only the
   settings that it states, so it passes in every workspace. #}
{% macro setting(name) %}
    {% if model is defined and model.resource_type == 'unit_test' %}
        {% set stated = (model.overrides or {}).get('vars', {}) %}
        {% if execute and name not in stated %}
            {{ exceptions.raise_compiler_error("unit test " ~ model.name ~ " reads the setting " ~ name ~ " and does not state it. Add it under overrides: vars.") }}
        {% endif %}
        {{ return(stated.get(name, default_settings()[name])) }}
    {% endif %}
    {% for value in [var(name, none), workspace_settings().get(name)] if value is not none %}
        {{ return(value) }}
    {% endfor %}
    {{ return(default_settings()[name]) }}
{% endmacro %}

{# What `throughline use` put into the environment. While dbt parses it notes who reads a variable, so each file reads it. #}
{% macro workspace_settings() %}
    {% if execute and remembered().settings is defined %}
        {{ return(remembered().settings) }}
    {% endif %}
    {% set found = fromyaml(workspace_variable('THROUGHLINE_VARS', '{}')) or {} %}
    {% do remembered().update({'settings': found}) if execute %}
    {{ return(found) }}
{% endmacro %}

{% macro workspace() %}
    {{ return('.' if is_installed() else env_var('THROUGHLINE_WORKSPACE', 'workspace')) }}
{% endmacro %}

{# The moment the marts speak of, as a UTC timestamp literal: one moment for the whole run. #}
{% macro as_of() %}
    {%- set moment = setting('as_of') or run_started_at.strftime('%Y-%m-%d %H:%M:%S') -%}
    cast('{{ moment }}' as timestamp)
{%- endmacro %}

{# Extra columns that the settings add to the prediction logs: name -> type. #}
{% macro setting_columns() %}
    {% set columns = {} %}
    {% for name in setting('segments') + setting('protected_attributes') + setting('categorical_features') %}
        {% do columns.update({name: 'string'}) %}
    {% endfor %}
    {% for name in setting('numeric_features') %}
        {% do columns.update({name: 'double'}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{# The day of as_of; the last complete day is the one before. #}
{% macro as_of_date() %}cast({{ as_of() }} as date){% endmacro %}

{# The last day whose decisions have all had time to get their label, for a row of dim_models. #}
{% macro last_matured_date(models) -%}
    cast({{ dbt.dateadd('day', '-1 - ' ~ models ~ '.horizon_days - ' ~ models ~ '.label_delay_days', as_of_date()) }} as date)
{%- endmacro %}

{# What one run finds once, by name: dbt hands every node the same `graph`. #}
{% macro remembered() %}{{ return(graph.setdefault('run ' ~ invocation_id, {})) }}{% endmacro %}

{# A row of a governed table with valid_from (inclusive) and valid_to (exclusive, open where NULL) holds at `moment`. #}
{% macro valid_at(relation, moment) -%}
    {{ moment }} >= {{ relation }}.valid_from and ({{ relation }}.valid_to is null or {{ moment }} < {{ relation }}.valid_to)
{%- endmacro %}
