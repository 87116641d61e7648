-- One row per checked row of any raw table: the latest copy of a key that was kept, or a copy that was rejected.
-- depends_on: {{ ref('cfg_model_registry') }}
-- depends_on: {{ ref('chk_prediction_logs') }}
-- depends_on: {{ ref('chk_usage_events') }}
-- depends_on: {{ ref('chk_business_outcomes') }}
-- depends_on: {{ ref('chk_eligible_users') }}
-- depends_on: {{ ref('chk_experiment_assignments') }}
-- depends_on: {{ ref('chk_feedback') }}
-- depends_on: {{ ref('chk_model_releases') }}
-- depends_on: {{ ref('chk_serving_costs') }}
-- depends_on: {{ ref('chk_kpi_annotations') }}
-- depends_on: {{ ref('chk_alert_actions') }}
{% for table in raw_tables() %}
{{ arrivals(table) }}
{{ 'union all' if not loop.last }}
{% endfor %}
