{# How the use of a model is told by groups of people. #}

{# The segments of adoption: team and role, which an eligible user has, then those of the settings, which decisions have. #}
{% macro adoption_segments(with_total=false) %}
    {% set own = ['team', 'role'] %}
    {{ return((['all'] if with_total else []) + own + setting('segments') | reject('in', own) | list) }}
{% endmacro %}
