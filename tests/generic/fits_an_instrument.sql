{% test fits_an_instrument(model, column_name, experiments) %}
{# Margins that are a share of the control's level, where an effect per uptake has none. #}
select
    guardrails.*,
    'guardrail metric ' || guardrails.metric || ' of ' || guardrails.experiment_id || ' has a relative margin, which an instrument does not take' as what,
    'Write the margin in units of the metric.' as fix
from {{ model }} as guardrails
inner join {{ experiments }} as experiments on guardrails.experiment_id = experiments.experiment_id
where experiments.method = 'instrument' and guardrails.{{ column_name }} = 'relative'
{% endtest %}
