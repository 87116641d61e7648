{# Alert rules: the grammar of their conditions, and the SQL that each becomes. #}

{# The metrics of alert rules that are counts of faults, not governed numbers: they have no target and no interval. #}
{% macro counts_of_faults() %}
    {{ return(['drift', 'input_health', 'fairness', 'freshness', 'causal_chain']) }}
{% endmacro %}

{# The names that a condition may use, and whether what they stand for is known within noise alone. #}
{% macro condition_names() %}
    {{ return({
        'value': true, 'previous_value': true, 'reference_value': true, 'change': true, 'floor': false, 'target': false, 'baseline': false,
    }) }}
{% endmacro %}

{# The conditions of the rules, each once, as they stand in the warehouse; none where it cannot be asked. The doctor gives those of the
   files. #}
{% macro condition_texts() %}
    {% if remembered().condition_texts is defined %}
        {{ return(remembered().condition_texts) }}
    {% endif %}
    {% set texts = [] %}
    {% if may_look() and load_relation(ref('cfg_alert_rules')) %}
        {% for row in rows_of('select distinct trim(condition) from ' ~ ref('cfg_alert_rules') ~ ' where condition is not null order by 1') %}
            {% do texts.append(row[0]) %}
        {% endfor %}
    {% endif %}
    {{ return(texts) }}
{% endmacro %}

{# The conditions that can be read, as parse_condition gives them. #}
{% macro alert_conditions() %}
    {% set found = [] %}
    {% for text in condition_texts() %}
        {% set parsed = parse_condition(text) %}
        {% do found.append(parsed) if not parsed.what %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# A condition as {text, measured, bound, margin, is_known, reads_bound, is_strict}: SQL of the side with the value, of the other
   side, of how far the first clears the other at the worst of the 99 % intervals, and whether all that it reads is known. A text
   that is no condition is {text, what, fix}. #}
{% macro parse_condition(text) %}
    {% set read = namespace(tokens=[], at=0, what=none) %}
    {% for match in modules.re.finditer('[A-Za-z_][A-Za-z_0-9]*|[0-9]+(?:[.][0-9]+)?|[.][0-9]+|<=|>=|[^ \t]', text) %}
        {% do read.tokens.append({'text': match.group(0), 'place': match.start() + 1}) %}
    {% endfor %}
    {% do read.tokens.append({'text': '', 'place': text | length + 1}) %}
    {% if read.tokens | length > 25 %}
        {% set read.what = 'has more than 24 names, numbers and signs' %}
    {% endif %}
    {% set left = parse_sum(read) %}
    {% set sign = read.tokens[read.at] %}
    {% if sign.text not in ['<', '<=', '>', '>='] %}
        {% do fault_of_condition(read, sign, 'is no comparison' if sign.text else 'no comparison') %}
    {% endif %}
    {% set read.at = read.at + 1 %}
    {% set right = parse_sum(read) if not read.what %}
    {% if not read.what and read.tokens[read.at].text %}
        {% do fault_of_condition(read, read.tokens[read.at], 'does not continue the condition') %}
    {% endif %}
    {% if not read.what and 'value' not in left.names + right.names %}
        {% set read.what = 'does not read value or change' %}
    {% endif %}
    {% if read.what %}
        {{ return({'text': text, 'what': "condition '" ~ text ~ "' " ~ read.what, 'names': [],
            'fix': 'Write two sides and one of < <= > >= from ' ~ condition_names() | join(', ') ~ ', numbers, + - * /, abs(…) and (…).'}) }}
    {% endif %}
    {% set is_turned = 'value' not in left.names %}
    {% set names = (left.names + right.names) | unique | list %}
    {% set ends = [] %}
    {% for name in names %}
        {% set is_noisy = condition_names()[name] %}
        {% do ends.extend([name ~ '_low', name ~ '_high'] if is_noisy else [name]) %}
    {% endfor %}
    {{ return({
        'text': text,
        'what': none,
        'measured': (right if is_turned else left).point,
        'bound': (left if is_turned else right).point,
        'margin': (plus(right, minus(left)) if '<' in sign.text else plus(left, minus(right))).low,
        'is_strict': '=' not in sign.text,
        'is_known': ends | join(' is not null\n            and ') ~ ' is not null',
        'names': names,
        'reads_bound': names | select('in', ['floor', 'target', 'baseline']) | list | length > 0,
    }) }}
{% endmacro %}

{% macro fault_of_condition(read, token, what) %}
    {% if not read.what %}
        {% set read.what = ("'" ~ token.text ~ "' at place " ~ token.place ~ ' ' ~ what) if token.text else ('ends at place ' ~ token.place ~ ': ' ~ what) %}
    {% endif %}
{% endmacro %}

{# Each parse_* reads from the next token on and returns a number as {point, low, high, names}: SQL of it and of its 99 % interval.
   The interval of a sum or product takes the distances to the ends of its parts in quadrature (MOVER), or added where a name stands in
   both. #}
{% macro parse_sum(read) %}
    {% set found = namespace(number=parse_product(read)) %}
    {% for _ in read.tokens %}
        {% set sign = read.tokens[read.at].text %}
        {% if sign in ['+', '-', '−'] and not read.what %}
            {% set read.at = read.at + 1 %}
            {% set other = parse_product(read) %}
            {% set found.number = plus(found.number, other if sign == '+' else minus(other)) %}
        {% endif %}
    {% endfor %}
    {{ return(found.number) }}
{% endmacro %}

{% macro parse_product(read) %}
    {% set found = namespace(number=parse_atom(read)) %}
    {% for _ in read.tokens %}
        {% set sign = read.tokens[read.at].text %}
        {% if sign in ['*', '×', '/'] and not read.what %}
            {% set read.at = read.at + 1 %}
            {% set other = parse_atom(read) %}
            {% set found.number = times(found.number, inverse(other) if sign == '/' else other) %}
        {% endif %}
    {% endfor %}
    {{ return(found.number) }}
{% endmacro %}

{% macro parse_atom(read) %}
    {% set token = read.tokens[read.at] %}
    {% set text = token.text %}
    {% if read.what %}
        {{ return(exact('0')) }}
    {% endif %}
    {% set read.at = [read.at + 1, read.tokens | length - 1] | min %}
    {% if text in ['-', '−'] %}
        {{ return(minus(parse_atom(read))) }}
    {% elif text == '(' or text == 'abs' %}
        {% if text == 'abs' %}
            {% do fault_of_condition(read, read.tokens[read.at], 'is no ( after abs' if read.tokens[read.at].text else '( is missing after abs') if read.tokens[read.at].text != '(' %}
            {% set read.at = read.at + (0 if read.what else 1) %}
        {% endif %}
        {% set inner = parse_sum(read) %}
        {% if read.tokens[read.at].text != ')' %}
            {% do fault_of_condition(read, read.tokens[read.at], 'stands where ) closes' if read.tokens[read.at].text else ') is missing') %}
            {{ return(inner) }}
        {% endif %}
        {% set read.at = read.at + 1 %}
        {{ return(absolute(inner) if text == 'abs' else inner) }}
    {% elif modules.re.match('[0-9.]', text) %}
        {% if text | length > 15 or text == '.' %}
            {% do fault_of_condition(read, token, 'is no number of at most 15 digits') %}
        {% endif %}
        {{ return(exact(text ~ 'e0')) }}
    {% elif text == 'change' %}
        {{ return(plus(times(read_name('value'), inverse(read_name('previous_value'))), exact('-1e0'))) }}
    {% elif text in condition_names() %}
        {{ return(read_name(text)) }}
    {% endif %}
    {% do fault_of_condition(read, token, 'is no name or number' if text else 'a name or number is missing') %}
    {{ return(exact('0')) }}
{% endmacro %}

{% macro exact(sql, names=[]) %}{{ return({'point': sql, 'low': sql, 'high': sql, 'names': names}) }}{% endmacro %}

{% macro read_name(name) %}
    {% if condition_names()[name] %}
        {{ return({'point': name, 'low': name ~ '_low', 'high': name ~ '_high', 'names': [name]}) }}
    {% endif %}
    {{ return(exact(name, [name])) }}
{% endmacro %}

{# Whether a number is known without noise. #}
{% macro is_exact(number) %}{{ return(number.low == number.point) }}{% endmacro %}

{% macro minus(one) %}
    {% if is_exact(one) %}
        {{ return(exact('(-' ~ one.point ~ ')', one.names)) }}
    {% endif %}
    {{ return({'point': '(-' ~ one.point ~ ')', 'low': '(-' ~ one.high ~ ')', 'high': '(-' ~ one.low ~ ')', 'names': one.names}) }}
{% endmacro %}

{# The end of the interval of what has this point, from the ends that it would have if one of its two parts alone were noisy. #}
{% macro far_end(point, one, other, is_shared, sign) %}
    {% if is_shared %}
        {{ return('(' ~ one ~ '\n            + ' ~ other ~ '\n            - ' ~ point ~ ')') }}
    {% endif %}
    {% set distances = [] %}
    {% for end in [one, other] %}
        {% set distance = '(' ~ point ~ '\n            - ' ~ end ~ ')' %}
        {% do distances.append(distance ~ '\n            * ' ~ distance) %}
    {% endfor %}
    {{ return('(' ~ point ~ '\n            ' ~ sign ~ ' sqrt(' ~ distances | join('\n            + ') ~ '))') }}
{% endmacro %}

{% macro plus(one, other) %}
    {% set names = one.names + other.names %}
    {% set point = '(' ~ one.point ~ '\n            + ' ~ other.point ~ ')' %}
    {% if is_exact(one) and is_exact(other) %}
        {{ return(exact(point, names)) }}
    {% endif %}
    {% set ends = {} %}
    {% for end, sign in [('low', '-'), ('high', '+')] %}
        {% set alone = '(' ~ one[end] ~ '\n            + ' ~ other.point ~ ')' %}
        {% set beside = '(' ~ one.point ~ '\n            + ' ~ other[end] ~ ')' %}
        {% do ends.update({end: alone if is_exact(other) else beside if is_exact(one)
            else far_end(point, alone, beside, shares_noise(one, other), sign)}) %}
    {% endfor %}
    {{ return({'point': point, 'low': ends.low, 'high': ends.high, 'names': names}) }}
{% endmacro %}

{% macro shares_noise(one, other) %}
    {% for name in one.names if name in other.names and condition_names()[name] %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}

{% macro times(one, other) %}
    {% set names = one.names + other.names %}
    {% set point = '(' ~ one.point ~ '\n            * ' ~ other.point ~ ')' %}
    {% if is_exact(one) and is_exact(other) %}
        {{ return(exact(point, names)) }}
    {% endif %}
    {% set ends = {} %}
    {% for end, sign, choice in [('low', '-', 'least'), ('high', '+', 'greatest')] %}
        {% set alone = choice ~ '(' ~ one.low ~ '\n            * ' ~ other.point ~ ', ' ~ one.high ~ '\n            * ' ~ other.point ~ ')' %}
        {% set beside = choice ~ '(' ~ one.point ~ '\n            * ' ~ other.low ~ ', ' ~ one.point ~ '\n            * ' ~ other.high ~ ')' %}
        {% do ends.update({end: alone if is_exact(other) else beside if is_exact(one)
            else far_end(point, alone, beside, shares_noise(one, other), sign)}) %}
    {% endfor %}
    {{ return({'point': point, 'low': ends.low, 'high': ends.high, 'names': names}) }}
{% endmacro %}

{# 1 by a number; NULL where it may be 0. #}
{% macro inverse(one) %}
    {% if is_exact(one) %}
        {{ return(exact('(1e0 / nullif(' ~ one.point ~ ', 0))', one.names)) }}
    {% endif %}
    {% set sql = {} %}
    {% for end, of in [('point', one.point), ('low', one.high), ('high', one.low)] %}
        {% do sql.update({end: 'case when ' ~ one.low ~ ' > 0\n            or ' ~ one.high ~ ' < 0 then 1e0 / ' ~ of ~ ' end'}) %}
    {% endfor %}
    {{ return({'point': '(1e0 / nullif(' ~ one.point ~ ', 0))', 'low': sql.low, 'high': sql.high, 'names': one.names}) }}
{% endmacro %}

{% macro absolute(one) %}
    {% set point = 'abs(' ~ one.point ~ ')' %}
    {% if is_exact(one) %}
        {{ return(exact(point, one.names)) }}
    {% endif %}
    {{ return({
        'point': point,
        'low': 'greatest(' ~ one.low ~ ',\n            -' ~ one.high ~ ', 0)',
        'high': 'greatest(abs(' ~ one.low ~ '),\n            abs(' ~ one.high ~ '))',
        'names': one.names,
    }) }}
{% endmacro %}

{# SQL of one part of each condition, chosen by the text of the row's. #}
{% macro by_condition(conditions, part) -%}
    {%- if conditions -%}
    case condition
        {%- for condition in conditions %}
        when {{ text_literal(condition.text) }}
            then {{ condition[part] }}
        {%- endfor %}
    end
    {%- else -%}
    cast(null as {{ 'boolean' if part in ['is_known', 'holds'] else type_double() }})
    {%- endif -%}
{%- endmacro %}

{# How much haste an alert needs, by the hours that its rule leaves. #}
{% macro alert_severity(sla_hours) -%}
    case when {{ sla_hours }} <= 24 then 'critical' when {{ sla_hours }} <= 96 then 'major' else 'minor' end
{%- endmacro %}

{# A sum or count of a series over its last 28 days. #}
{% macro over_last_days(sum) -%}
    cast({{ sum }} over (
            partition by metric, model_id, segment_name, segment_value
            order by date_day nulls last
            rows between 27 preceding and current row
        ) as {{ type_double() }})
{%- endmacro %}

{# The days of a value's period. #}
{% macro days_of_period(period) -%}
    case {{ period }} when 'day' then 1 when '7d' then 7 else 28 end
{%- endmacro %}

{# The lower (`-`) or upper (`+`) bound of the 99 % interval of a value: Wilson's of a share, that of 95 % made wider where the value has
   one, else from the steps of its series from day to day, of which three tell as much as two that were independent. #}
{% macro value_bound(of, metrics, spreads, sign) -%}
    {%- set end = 'low' if sign == '-' else 'high' -%}
    {%- set distance = '(case when ' ~ metrics ~ '.denominator_brick is null then 0 else ' ~ of ~ '.value - ' ~ spreads ~ '.overall end)' -%}
    case
            when {{ of }}.value is null then null
            when {{ of }}.effective_units > 0
                then {{ wilson_bound(of ~ '.value', of ~ '.effective_units', sign, '2.5758293035489004') }}
            when {{ of }}.value_{{ end }} is not null
                then {{ of }}.value + ({{ of }}.value_{{ end }} - {{ of }}.value) * 1.3142258185962153
            when {{ spreads }}.step_count >= 14
                then {{ of }}.value {{ sign }} {{ t_quantile('(' ~ spreads ~ '.step_count / 1.5)', 2.5758293035489004) }}
                * sqrt(greatest(
                    {{ spreads }}.distance_squares
                    - 2 * {{ distance }} * {{ spreads }}.products
                    + {{ distance }} * {{ distance }} * {{ spreads }}.denominator_squares,
                    0
                ) / (2 * {{ spreads }}.step_count) * {{ days_of_period(of ~ '.period') }})
                / case when {{ metrics }}.denominator_brick is null then 1 else {{ of }}.denominator end
        end
{%- endmacro %}
