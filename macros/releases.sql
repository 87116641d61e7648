{# What judges a release. #}

{# The quantile of the two-sided 99.9 % interval beyond which a release is to be taken back. #}
{% macro quantile_of_gates() %}3.290526731491895{% endmacro %}

{# By how much the worse end of an interval is on the good side of a bound: above it, below it, or nearer to zero than it. #}
{% macro gate_clearance(direction, low, high, bound) -%}
    case {{ direction }}
        when 'up' then {{ low }} - {{ bound }}
        when 'down' then {{ bound }} - {{ high }}
        else {{ bound }} - greatest(abs({{ low }}), abs({{ high }}))
    end
{%- endmacro %}

{# By how much the better end of an interval is on the good side of a bound; below 0 where all of it is beyond. #}
{% macro gate_reach(direction, low, high, bound) -%}
    case {{ direction }}
        when 'up' then {{ high }} - {{ bound }}
        when 'down' then {{ bound }} - {{ low }}
        else {{ bound }} - greatest({{ low }}, -({{ high }}), 0)
    end
{%- endmacro %}
