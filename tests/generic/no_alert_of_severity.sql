{% test no_alert_of_severity(model) %}
{# Alerts that are open, root of their incident and at least as severe as the setting alert_severity; nothing while that is off. #}
{{ config(severity='warn') }}
{%- set chosen = setting('alert_severity') %}
{%- set severities = ['critical', 'major', 'minor'] %}
select
    alert_key,
    severity,
    owner,
    corrective_action
from {{ model }}
where
    status = 'open'
    and is_root
    and severity in (
        ''
        {%- for name in severities[:severities.index(chosen) + 1 if chosen in severities else 0] %},
        '{{ name }}'
        {%- endfor %}
    )
{% endtest %}
