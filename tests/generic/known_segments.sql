{% test known_segments(model, column_name, also=[]) %}
{# Rows that name no segment: of the settings, or of their default, for the project's own seeds name those. #}
select *
from {{ model }}
where {{ column_name }} not in ('{{ (setting('segments') + default_settings()['segments'] + also) | join("', '") }}')
{% endtest %}
