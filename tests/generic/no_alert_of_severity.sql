{% test no_alert_of_severity(model) %}
{# Roots of incidents that nobody acted on, or that another alert has hastened since, at least as severe as the setting alert_severity;
   nothing while that is off. #}
{{ config(severity='warn') }}
{%- set chosen = setting('alert_severity') %}
{%- set severities = ['critical', 'major', 'minor'] %}
select
    alert_key,
    incident_severity,
    owner,
    corrective_action
from {{ model }}
where
    is_root
    and (status = 'open' or hastened_at is not null)
    and incident_severity in (
        ''
        {%- for name in severities[:severities.index(chosen) + 1 if chosen in severities else 0] %},
        '{{ name }}'
        {%- endfor %}
    )
{% endtest %}
