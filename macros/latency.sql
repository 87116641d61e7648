{# Latencies in logarithmic bins, each 2 % wider than the one before: bin i goes from 1.02^(i - 1/2) to 1.02^(i + 1/2) milliseconds.
   No decimal number lies on such an edge, so that no rounding of an engine moves a latency. #}

{# ln(1.02), the width of a bin. #}
{% macro latency_bin_width() %}0.01980262729617973{% endmacro %}

{# The bin of what took less than a thousandth of a millisecond, and that of a decision without a latency. #}
{% macro first_latency_bin() %}-349{% endmacro %}
{% macro bin_without_latency() %}-1000{% endmacro %}

{# The share by which a percentile from bins can be off: half a bin. #}
{% macro latency_bin_error() %}0.01{% endmacro %}

{% macro latency_bin(latency) -%}
    case
        when {{ latency }} is null then {{ bin_without_latency() }}
        else cast(floor(ln(greatest({{ latency }}, 0.001)) / {{ latency_bin_width() }} + 0.5) as integer)
    end
{%- endmacro %}

{# The lower edge of a bin, 0 for the first; NULL without a latency. #}
{% macro latency_bin_edge(bin) -%}
    case
        when {{ bin }} = {{ bin_without_latency() }} then null
        when {{ bin }} <= {{ first_latency_bin() }} then 0
        else exp(cast({{ bin }} - 0.5 as {{ type_double() }}) * {{ latency_bin_width() }})
    end
{%- endmacro %}

{# The latency that stands for a bin: none of it is further away, relative to itself, than latency_bin_error. #}
{% macro latency_of_edge(edge) -%}
    {{ edge }} * 2 * 1.02 / (1 + 1.02)
{%- endmacro %}

{# The percentiles that are shown: name -> share. #}
{% macro latency_percentiles() %}{{ return({'latency_p50': 0.5, 'latency_p95': 0.95, 'latency_p99': 0.99}) }}{% endmacro %}

{# Whether a cumulative weight reaches a share of the whole; sums of weights carry rounding. #}
{% macro reaches_share(cumulative, whole, share) -%}
    {{ cumulative }} >= {{ share }} * {{ whole }} * (1 - cast(1e-12 as {{ type_double() }}))
{%- endmacro %}
