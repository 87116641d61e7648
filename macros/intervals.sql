{# The quantiles of a two-sided interval at 95 %, and of each of two that hold together at 95 %. #}
{% macro quantile_of_one() %}1.959963984540054{% endmacro %}
{% macro quantile_of_two() %}2.241402727604947{% endmacro %}

{# The lower (`-`) or upper (`+`) bound of Wilson's interval of a share among `units`, of 95 % or by another quantile of the normal
   distribution. Neither may be NULL, nor `units` 0. #}
{% macro wilson_bound(share, units, sign, quantile=none) -%}
    {%- set quantile = quantile or quantile_of_one() -%}
    {%- set square = quantile ~ ' * ' ~ quantile -%}
    {%- set end = '0' if sign == '-' else '1' -%}
    {#- rounding would miss 0 and 1 by a hair -#}
    case when {{ share }} = {{ end }} then {{ end }} else {{ 'greatest' if sign == '-' else 'least' }}({{ end }}, (
        {{ share }} + {{ square }} / (2 * {{ units }})
        {{ sign }} {{ quantile }} * sqrt(
            greatest({{ share }} * (1 - {{ share }}), 0) / {{ units }} + {{ square }} / (4 * {{ units }} * {{ units }})
        )) / (1 + {{ square }} / {{ units }})
    ) end
{%- endmacro %}

{# The lower (`-`) or upper (`+`) bound of the 95 % interval of a balance, which is the difference of two shares in points: Wald's, with
   three quarters of a unit more on each side and one and a half between, which pulls it towards 0; of few units it is widened to hold
   the value. It reads `numerator`, `denominator`, `weight_squares` and `balance_points`. #}
{% macro balance_bound(sign) -%}
    {%- set share = '(numerator / balance_points / (denominator + 3))' -%}
    {%- set taking_part = '((weight_squares / balance_points / balance_points + 1.5) / (denominator + 3))' -%}
    balance_points * {{ 'greatest(-1, least(' if sign == '-' else 'least(1, greatest(' }}
        numerator / balance_points / nullif(denominator, 0),
        {{ share }} {{ sign }} {{ quantile_of_one() }} * sqrt(({{ taking_part }} - {{ share }} * {{ share }}) / (denominator + 3))
    ))
{%- endmacro %}

{# Whether two proportions differ beyond noise, by the pooled test at 99 %; NULL for values that are no proportions. #}
{% macro is_beyond_noise(one, other) -%}
    {%- set pooled = '((' ~ one ~ '.value * ' ~ one ~ '.effective_units + ' ~ other ~ '.value * ' ~ other ~ '.effective_units) / ('
        ~ one ~ '.effective_units + ' ~ other ~ '.effective_units))' -%}
    abs({{ one }}.value - {{ other }}.value)
    > 2.5758293035489004 * sqrt(greatest({{ pooled }} * (1 - {{ pooled }}), 0) * (1 / {{ one }}.effective_units + 1 / {{ other }}.effective_units))
{%- endmacro %}

{# A bound of Newcombe's interval of the difference of two independent shares, by Wilson's bounds of each. #}
{% macro newcombe_bound(one, one_low, one_high, other, other_low, other_high, sign) -%}
    {%- set far, near = (one_low, other_high) if sign == '-' else (one_high, other_low) -%}
    {{ one }} - {{ other }} {{ sign }} sqrt(
        ({{ far }} - {{ one }}) * ({{ far }} - {{ one }}) + ({{ near }} - {{ other }}) * ({{ near }} - {{ other }})
    )
{%- endmacro %}

{# The logarithm of the ratio of two shares, with half a unit added to each count, so that it exists where one is 0. #}
{% macro log_ratio(one, one_units, other, other_units) -%}
    ln(({{ one }} * {{ one_units }} + 0.5) / ({{ one_units }} + 0.5))
    - ln(({{ other }} * {{ other_units }} + 0.5) / ({{ other_units }} + 0.5))
{%- endmacro %}

{# The standard error of log_ratio. #}
{% macro log_ratio_error(one, one_units, other, other_units) -%}
    sqrt(greatest(
        1 / ({{ one }} * {{ one_units }} + 0.5) - 1 / ({{ one_units }} + 0.5)
        + 1 / ({{ other }} * {{ other_units }} + 0.5) - 1 / ({{ other_units }} + 0.5), 0
    ))
{%- endmacro %}
