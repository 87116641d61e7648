{% test known_segments(model, column_name, also=[]) %}
{# Rows that name no segment of the settings. #}
select *
from {{ model }}
where {{ column_name }} not in ('{{ (setting('segments') + also) | join("', '") }}')
{% endtest %}
