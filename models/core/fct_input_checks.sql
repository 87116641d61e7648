-- One row per raw table, model, check and detail: what the door found out about the rows delivered.
-- depends_on: {{ ref('int_delivered_rows') }}, {{ ref('cfg_model_registry') }}, {{ ref('cfg_experiments') }}, {{ ref('cfg_outcome_kinds') }}
-- depends_on: {{ ref('cfg_alert_rules') }}
{%- set checks = [] %}
{%- for table in raw_tables() %}{% do ref('chk_' ~ table) %}{% endfor %}
{%- for table in (setting('inputs') if execute else []) if is_delivered(table) %}
{%- do checks.extend([counts_check(table), own_checks(table), met_checks(table), warning_checks(table)]) %}
{%- endfor %}
{{ judged_checks(checks | map('trim') | select | join('\nunion all\n')) if execute else 'select 1 as placeholder' }}
