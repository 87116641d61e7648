{% test one_open_alert_per_key(model) %}
{# Keys with more than one alert that is not closed. #}
select alert_key
from {{ model }}
where status <> 'closed'
group by alert_key
having count(*) > 1
{% endtest %}
