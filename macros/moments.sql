{#  How totals per unit become moments: sums and sums of products about constants, in few passes over the units. #}

{# What moments are made of: each metric that experiments read, raw and, where it is capped, capped, and with the uptake in the
   place of a denominator where an experiment of method instrument asks for it. #}
{% macro moment_estimands() %}
    {% set estimands = [] %}
    {% for metric in lifted_metrics() %}
        {% for totals in ['raw', 'capped'] if totals == 'raw' or cap_quantile(metric) is not none %}
            {% set shared = {'metric': metric, 'totals': totals} %}
            {% set pair_role = 'denominator' if metric.denominator else 'none' %}
            {% set needs = {'maturity': maturity_for(metric), 'dropped': dropped_bricks(metric)} %}
            {% do estimands.append(dict(shared, place=estimands | length, pair_role=pair_role, used=none, columns=unit_values_of(metric), **needs)) %}
            {% for used in ([] if metric.denominator else declared_uptake()) %}
                {% set values = dict(unit_values_of(metric), d=used.numerator, w=used.numerator ~ '_before') %}
                {% set needs = {
                    'maturity': [maturity_for(metric), maturity_for(used)] | max,
                    'dropped': (dropped_bricks(metric) + dropped_bricks(used)) | unique | list,
                } %}
                {% do estimands.append(dict(shared, place=estimands | length, pair_role='uptake', used=used, columns=values, **needs)) %}
            {% endfor %}
        {% endfor %}
    {% endfor %}
    {{ return(estimands) }}
{% endmacro %}

{# Columns of unit totals that are the variables of a metric: name of the variable -> column. #}
{% macro unit_values_of(metric) %}
    {% set values = {'y': metric.numerator, 'x': metric.numerator ~ '_before'} %}
    {% if has_trends() %}
        {% do values.update({'e': metric.numerator ~ '_just_before'}) %}
    {% endif %}
    {% if has_covariates() %}
        {% do values.update({'c': 'covariate'}) %}
    {% endif %}
    {% if metric.denominator %}
        {% do values.update({'d': metric.denominator, 'w': metric.denominator ~ '_before'}) %}
    {% endif %}
    {{ return(values) }}
{% endmacro %}

{# Whether any experiment is a difference in differences, which alone asks how units changed before exposure. #}
{% macro has_trends() %}
    {% if not may_look() or not load_relation(ref('cfg_experiments')) %}
        {{ return(true) }}
    {% endif %}
    {% if remembered().has_trends is not defined %}
        {% set plans = rows_of("select count(*) from " ~ ref('cfg_experiments') ~ " where method = 'did'") %}
        {% do remembered().update({'has_trends': plans[0][0] > 0}) %}
    {% endif %}
    {{ return(remembered().has_trends) }}
{% endmacro %}

{# Whether any assignment came with a covariate; true where the warehouse may not be asked. #}
{% macro has_covariates() %}
    {% if not may_look() or not load_relation(ref('int_unit_constants')) %}
        {{ return(true) }}
    {% endif %}
    {% if remembered().has_covariates is not defined %}
        {% set given = rows_of("select count(covariate) from " ~ ref('int_unit_constants')) %}
        {% do remembered().update({'has_covariates': given[0][0] > 0}) %}
    {% endif %}
    {{ return(remembered().has_covariates) }}
{% endmacro %}

{# Columns of unit totals whose constant is not 0 in every experiment; all of them where the warehouse may not be asked. #}
{% macro shifted_columns() %}
    {% set columns = constant_columns() %}
    {% if not may_look() or not load_relation(ref('int_unit_constants')) %}
        {{ return(columns) }}
    {% endif %}
    {% if remembered().shifted_columns is not defined %}
        {#- a table of an earlier build may lack columns -#}
        {% set known = adapter.get_columns_in_relation(ref('int_unit_constants')) | map(attribute='name') | list %}
        {% set is_shifted = [] %}
        {% for column in columns %}
            {% do is_shifted.append('max(case when ' ~ column ~ ' <> 0 then 1 else 0 end)' if column in known else '1') %}
        {% endfor %}
        {% set flags = rows_of('select ' ~ is_shifted | join(', ') ~ ' from ' ~ ref('int_unit_constants'))[0] %}
        {% set shifted = [] %}
        {% for column in columns %}
            {% do shifted.append(column) if flags[loop.index0] == 1 %}
        {% endfor %}
        {% do remembered().update({'shifted_columns': shifted}) %}
    {% endif %}
    {{ return(remembered().shifted_columns) }}
{% endmacro %}

{# The metrics that experiments name as uptake. #}
{% macro declared_uptake() %}
    {% set uptake = [] %}
    {% if may_look() and model.resource_type == 'model' and load_relation(ref('cfg_experiments')) %}
        {% set names = rows_of("select distinct uptake_metric from " ~ ref('cfg_experiments')) | map(attribute=0) | list %}
        {% for metric in lifted_metrics() if metric.name in names %}
            {% do uptake.append(metric) %}
        {% endfor %}
    {% endif %}
    {{ return(uptake) }}
{% endmacro %}

{# The metrics that experiments read and whose totals are capped. #}
{% macro capped_metrics() %}
    {% set capped = [] %}
    {% for metric in lifted_metrics() if cap_quantile(metric) is not none %}
        {% do capped.append(metric) %}
    {% endfor %}
    {{ return(capped) }}
{% endmacro %}

{# The quantile at which totals of a metric's numerator are capped; none for none. #}
{% macro cap_quantile(metric) %}
    {{ return(bricks()[metric.numerator].lift.get('cap_quantile')) }}
{% endmacro %}

{# Columns of unit totals that are summed about a constant. #}
{% macro constant_columns() %}
    {% set columns = [] %}
    {% for name in unit_bricks() %}
        {% do columns.extend([name, name ~ '_before'] + ([name ~ '_just_before'] if has_trends() else [])) %}
    {% endfor %}
    {% do columns.append('covariate') %}
    {{ return(columns) }}
{% endmacro %}

{# Bricks of unit totals that may be NULL. #}
{% macro nullable_columns() %}
    {% set columns = [] %}
    {% for name, brick in unit_bricks().items() if brick.lift.missing == 'drop' %}
        {% do columns.append(name) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{# The share of a count of `days` that lies before a day, of an experiment. #}
{% macro share_before(count) -%}
    cast(sum({{ count }}) over (partition by days.experiment_id order by days.assigned_date) - {{ count }} as {{ type_double() }})
            / nullif(sum({{ count }}) over (partition by days.experiment_id), 0)
{%- endmacro %}

{# 0 where the mean is within so many standard deviations of it, else the mean rounded to a multiple of the power of two at or above
   the deviation. Squares in doubles tell no deviation below 1e-7 of the mean. #}
{% macro shift_constant(mean, square, within) -%}
    {%- set deviation = 'greatest(sqrt(greatest(' ~ square ~ ' - ' ~ mean ~ ' * ' ~ mean ~ ', 0)), 1e-7 * abs(' ~ mean ~ '))' -%}
    case
            when abs({{ mean }}) <= {{ within }} * {{ deviation }} then 0
            when {{ deviation }} > 0 then {{ power_of_two_above(deviation) }} * floor({{ mean }} / {{ power_of_two_above(deviation) }} + 0.5)
        end
{%- endmacro %}

{# A logarithm of two's own power may lie a hair above its whole number. #}
{% macro power_of_two_above(number) -%}
    power(cast(2 as {{ type_double() }}), ceil(ln({{ number }}) / ln(cast(2 as {{ type_double() }})) - 1e-9))
{%- endmacro %}

{# Numerator, denominator or uptake, the same before exposure, given covariate, later half of the numerator before. #}
{% macro moment_variables() %}
    {{ return(['y', 'd', 'x', 'w', 'c', 'e']) }}
{% endmacro %}

{# The variables of an estimand in the order of all variables. #}
{% macro variables_of(estimand) %}
    {{ return(moment_variables() | select('in', estimand.columns) | list) }}
{% endmacro %}

{# Counts and sums of a row of moments that differ by estimand. #}
{% macro moment_columns() %}
    {% set names = ['n_rows', 'n_units', 'n_unclustered', 'n_covariate_missing', 'n_immature', 'n_clusters_shared'] %}
    {% for variable in moment_variables() %}
        {% do names.append('s_' ~ variable) %}
    {% endfor %}
    {% for one, two in pairs_of(['m'] + moment_variables()) %}
        {% do names.append('s_' ~ one ~ two) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Those of them that an estimand has; the others are zero. #}
{% macro moment_columns_of(estimand) %}
    {% set names = [] %}
    {% for name in moment_columns() if (name[:2] == 'n_' and (name != 'n_covariate_missing' or 'c' in estimand.columns)) or name[2:] | list | reject('in', ['m'] + estimand.columns.keys() | list) | list | length == 0 %}
        {% do names.append(name) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Every pair of names, each with itself and those after it. #}
{% macro pairs_of(names) %}
    {% set pairs = [] %}
    {% for one in names %}
        {% for two in names[loop.index0:] %}
            {% do pairs.append([one, two]) %}
        {% endfor %}
    {% endfor %}
    {{ return(pairs) }}
{% endmacro %}

{# Sums and sums of products over row units, rows of m units and their variables less the constants. #}
{% macro moment_sums() -%}
    cast(count(case when m > 0 then 1 end) as bigint) as n_rows,
        cast(sum(m) as bigint) as n_units
        {%- for variable in moment_variables() %},
        sum({{ variable }}) as s_{{ variable }}
        {%- endfor %}
        {%- for one, two in pairs_of(['m'] + moment_variables()) %},
        sum({{ one }} * {{ two }}) as s_{{ one }}{{ two }}
        {%- endfor %}
{%- endmacro %}
