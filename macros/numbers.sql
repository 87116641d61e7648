{# Arithmetic that every warehouse does alike. #}

{# The square of a number; NULL where no double holds it, and 0 where it is too small for one, which Postgres would refuse. #}
{% macro square(number) -%}
    case
        when abs({{ number }}) < 1e-150 then 0
        when abs({{ number }}) < 1e150 then {{ number }} * {{ number }}
    end
{%- endmacro %}

{# NULL instead of an error where the denominator is zero. #}
{% macro safe_ratio(numerator, denominator) -%}
    cast({{ numerator }} as {{ type_double() }}) / nullif(cast({{ denominator }} as {{ type_double() }}), 0)
{%- endmacro %}

{# The quantile of the standard normal distribution at a share in (0, 1), to nine digits: Acklam's rational approximations. #}
{% macro normal_quantile(share) -%}
    {%- set p = '(' ~ share ~ ')' -%}
    {%- set centre = '(' ~ p ~ ' - 0.5)' -%}
    {%- set square = '(' ~ centre ~ ' * ' ~ centre ~ ')' -%}
    {%- set a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690, -30.66479806614716, 2.506628277459239] -%}
    {%- set b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1.0] -%}
    {%- set c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783] -%}
    {%- set d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0] -%}
    {%- set lower = 'sqrt(-2 * ln(' ~ p ~ '))' -%}
    {%- set upper = 'sqrt(-2 * ln(1 - ' ~ p ~ '))' -%}
    case
        when {{ p }} < 0.02425 then {{ polynomial(c, lower) }} / {{ polynomial(d, lower) }}
        when {{ p }} > 0.97575 then -{{ polynomial(c, upper) }} / {{ polynomial(d, upper) }}
        else {{ centre }} * {{ polynomial(a, square) }} / {{ polynomial(b, square) }}
    end
{%- endmacro %}

{# The quantile of Student's t distribution where that of the normal is `z`, to five digits from nine degrees of freedom on: the
   expansion of Cornish and Fisher. #}
{% macro t_quantile(freedom, z=1.959963984540054) -%}
    {%- set n = 'cast(' ~ freedom ~ ' as ' ~ type_double() ~ ')' -%}
    {%- set terms = [
        (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
        (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
        (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
        (z ** 3 + z) / 4,
        z,
    ] -%}
    {{ polynomial(terms, '(1 / ' ~ n ~ ')') }}
{%- endmacro %}

{# The two-sided p-value of a standard normal number that is not negative, to seven digits: the Chebyshev fit of the complementary
   error function in Numerical Recipes, section 6.2. From 30 on it stays that of 30, which every engine can hold. #}
{% macro normal_p_value(z) -%}
    {#- of NULL and 30 the least would be 30 -#}
    {%- set x = '((' ~ z ~ ' - greatest(' ~ z ~ ' - 30, 0)) / 1.4142135623730951)' -%}
    {%- set t = '(1 / (1 + 0.5 * ' ~ x ~ '))' -%}
    {%- set c = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223] -%}
    {{ t }} * exp({{ polynomial(c, t) }} - {{ x }} * {{ x }})
{%- endmacro %}

{# The correlation of two numbers; NULL where one of them never changes. #}
{% macro correlation(one, other) -%}
    case when stddev_pop({{ one }}) > 0 and stddev_pop({{ other }}) > 0 then corr({{ one }}, {{ other }}) end
{%- endmacro %}

{# A polynomial by Horner's rule, highest power first. #}
{% macro polynomial(coefficients, x) -%}
    {%- set sum = namespace(sql=coefficients[0] | string) -%}
    {%- for coefficient in coefficients[1:] -%}
        {%- set sum.sql = '(' ~ sum.sql ~ ' * ' ~ x ~ ' + ' ~ coefficient ~ ')' -%}
    {%- endfor -%}
    {{ sum.sql }}
{%- endmacro %}
