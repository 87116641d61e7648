{#  How totals per unit become moments: sums and sums of products about constants, in few passes over the units. #}

{# What moments are made of: each metric that experiments read, raw and, where it is capped, capped, and with the uptake in the
   place of a denominator where an experiment of method instrument asks for it. #}
{% macro moment_readings() %}
    {% set readings = [] %}
    {% for metric in lifted_metrics() %}
        {% for totals in ['raw', 'capped'] if totals == 'raw' or cap_quantile(metric) is not none %}
            {% set shared = {'metric': metric, 'totals': totals} %}
            {% set pair_role = 'denominator' if metric.denominator else 'none' %}
            {% do readings.append(dict(shared, place=readings | length, pair_role=pair_role, used=none, columns=unit_values_of(metric))) %}
            {% for used in ([] if metric.denominator else declared_uptake()) %}
                {% set values = dict(unit_values_of(metric), d=used.numerator, w=used.numerator ~ '_before') %}
                {% do readings.append(dict(shared, place=readings | length, pair_role='uptake', used=used, columns=values)) %}
            {% endfor %}
        {% endfor %}
    {% endfor %}
    {{ return(readings) }}
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
    {% if not may_look() or not load_relation(ref('experiments')) %}
        {{ return(true) }}
    {% endif %}
    {% if remembered().has_trends is not defined %}
        {% set found = rows_of("select count(*) from " ~ ref('experiments') ~ " where method = 'did'") %}
        {% do remembered().update({'has_trends': found[0][0] > 0}) %}
    {% endif %}
    {{ return(remembered().has_trends) }}
{% endmacro %}

{# Whether any assignment came with a covariate; true where the warehouse may not be asked. #}
{% macro has_covariates() %}
    {% if not may_look() or not load_relation(ref('int_unit_constants')) %}
        {{ return(true) }}
    {% endif %}
    {% if remembered().has_covariates is not defined %}
        {% set found = rows_of("select count(covariate) from " ~ ref('int_unit_constants')) %}
        {% do remembered().update({'has_covariates': found[0][0] > 0}) %}
    {% endif %}
    {{ return(remembered().has_covariates) }}
{% endmacro %}

{# The metrics that experiments name as uptake. #}
{% macro declared_uptake() %}
    {% set found = [] %}
    {% if may_look() and model.resource_type == 'model' and load_relation(ref('experiments')) %}
        {% set names = rows_of("select distinct uptake_metric from " ~ ref('experiments')) | map(attribute=0) | list %}
        {% for metric in lifted_metrics() if metric.name in names %}
            {% do found.append(metric) %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}

{# The metrics that experiments read and whose totals are capped. #}
{% macro capped_metrics() %}
    {% set found = [] %}
    {% for metric in lifted_metrics() if cap_quantile(metric) is not none %}
        {% do found.append(metric) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The quantile at which totals of a metric's numerator are capped; none for none. #}
{% macro cap_quantile(metric) %}
    {{ return(bricks()[metric.numerator].lift.get('cap_quantile')) }}
{% endmacro %}

{# Columns of unit totals that are summed about a constant. #}
{% macro constant_columns() %}
    {% set found = [] %}
    {% for name in unit_bricks() %}
        {% do found.extend([name, name ~ '_before'] + ([name ~ '_just_before'] if has_trends() else [])) %}
    {% endfor %}
    {% do found.append('covariate') %}
    {{ return(found) }}
{% endmacro %}

{# The mean rounded to a multiple of the power of two at or above the standard deviation. Squares in doubles tell no deviation
   below 1e-7 of the mean. #}
{% macro shift_constant(mean, square) -%}
    {%- set deviation = 'greatest(sqrt(greatest(' ~ square ~ ' - ' ~ mean ~ ' * ' ~ mean ~ ', 0)), 1e-7 * abs(' ~ mean ~ '))' -%}
    case when {{ deviation }} > 0 then {{ power_of_two_above(deviation) }} * floor({{ mean }} / {{ power_of_two_above(deviation) }} + 0.5) else {{ mean }} end
{%- endmacro %}

{# A logarithm of two's own power may lie a hair above its whole number. #}
{% macro power_of_two_above(number) -%}
    power(cast(2 as {{ type_double() }}), ceil(ln({{ number }}) / ln(cast(2 as {{ type_double() }})) - 1e-9))
{%- endmacro %}

{# Numerator, denominator or uptake, the same before exposure, given covariate, later half of the numerator before. #}
{% macro moment_variables() %}
    {{ return(['y', 'd', 'x', 'w', 'c', 'e']) }}
{% endmacro %}

{# The variables of a reading in the order of all variables. #}
{% macro variables_of(reading) %}
    {{ return(moment_variables() | select('in', reading.columns) | list) }}
{% endmacro %}

{# Counts and sums of a row of moments that differ by reading. #}
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

{# Those of them that a reading has; the others are zero. #}
{% macro moment_columns_of(reading) %}
    {% set names = [] %}
    {% for name in moment_columns() if (name[:2] == 'n_' and (name != 'n_covariate_missing' or 'c' in reading.columns)) or name[2:] | list | reject('in', ['m'] + reading.columns.keys() | list) | list | length == 0 %}
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

{# CTEs that end in `chunk_<number>`: sums of some readings in one pass over `totals`, by experiment, variant and segment value,
   about the constants in `constants`. A unit alone is a row of its cell; the units of a cluster are summed first. #}
{% macro moment_chunk_ctes(number, readings) %}
    {%- set prefix = 'chunk_' ~ number -%}
    {%- set segments = setting('segments') -%}
    {%- set key = ['experiment_id', 'variant', 'segment_name', 'segment_value'] -%}
{{ prefix }}_flags as {{ not_materialized() }} (

    select
        totals.*,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set counted = is_counted_unit(reading.metric, 'totals', 'constants') ~ (' and ' ~ is_counted_unit(reading.used, 'totals', 'constants') if reading.used else '') %}
        {%- set mature = is_mature_unit(reading.metric, 'totals', 'constants') ~ (' and ' ~ is_mature_unit(reading.used, 'totals', 'constants') if reading.used else '') %}
        {{ counted }} as is_counted_{{ i }},
        {{ is_eligible_unit('totals') }} and not ({{ mature }}) as is_immature_{{ i }},
        {%- for variable, column in reading.columns.items() %}
        constants.{{ column }} as k_{{ i }}_{{ variable }},
        {%- endfor %}
        {%- if reading.totals == 'capped' %}
        caps_{{ i }}.cap_value as cap_{{ i }},
        {%- endif %}
        {%- endfor %}
        constants.covariate is not null as has_covariate
    from totals
    inner join constants on totals.experiment_id = constants.experiment_id
    {%- for reading in readings if reading.totals == 'capped' %}
    {%- set i = reading.place %}
    left join caps as caps_{{ i }}
        on totals.experiment_id = caps_{{ i }}.experiment_id
        and caps_{{ i }}.metric = '{{ reading.metric.name }}'
    {%- endfor %}
    where not totals.is_multi_exposed or totals.variant_number = 1

),

{{ prefix }}_units as {{ not_materialized() }} (

    select
        experiment_id,
        variant,
        cluster_id,
        {%- for segment in segments %}
        {{ segment }},
        {%- endfor %}
        {%- for reading in readings %}
        {%- set i = reading.place %}
        cast(case when is_counted_{{ i }} then 1 else 0 end as {{ type_double() }}) as m_{{ i }},
        {%- for variable, column in reading.columns.items() %}
        {%- set value = 'case when ' ~ column ~ ' > cap_' ~ i ~ ' then cap_' ~ i ~ ' else ' ~ column ~ ' end' if reading.totals == 'capped' and variable in ['y', 'x', 'e'] else column %}
        {%- set distance = value ~ ' - k_' ~ i ~ '_' ~ variable %}
        case when is_counted_{{ i }} then {{ 'coalesce(' ~ distance ~ ', 0)' if variable == 'c' else distance }} else 0 end as {{ variable }}_{{ i }},
        {%- endfor %}
        {%- if 'c' in reading.columns %}
        case when is_counted_{{ i }} and has_covariate and covariate is null then 1 else 0 end as n_covariate_missing_{{ i }},
        {%- endif %}
        case when is_immature_{{ i }} then 1 else 0 end as n_immature_{{ i }},
        {%- endfor %}
        case when is_multi_exposed then 0 else 1 end as n_exposed,
        case when is_multi_exposed then 1 else 0 end as n_multi,
        case when is_late and not is_multi_exposed then 1 else 0 end as n_late,
        case when is_cluster_shared then 1 else 0 end as n_clusters_shared
    from {{ prefix }}_flags

),

{{ prefix }}_cells as (

    select
        experiment_id,
        variant,
        {%- for segment in segments %}
        {{ segment }},
        {%- endfor %}
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set variables = variables_of(reading) %}
        sum(m_{{ i }}) as n_units_{{ i }},
        {%- if 'c' in reading.columns %}
        sum(n_covariate_missing_{{ i }}) as n_covariate_missing_{{ i }},
        {%- endif %}
        sum(n_immature_{{ i }}) as n_immature_{{ i }},
        {%- for variable in variables %}
        sum({{ variable }}_{{ i }}) as s_{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables) %}
        sum({{ one }}_{{ i }} * {{ two }}_{{ i }}) as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        sum(n_exposed) as n_exposed,
        sum(n_multi) as n_multi,
        sum(n_late) as n_late
    from {{ prefix }}_units
    where cluster_id is null
    group by experiment_id, variant{% for segment in segments %}, {{ segment }}{% endfor %}

),

{{ prefix }}_clusters as (

    select
        units.experiment_id,
        units.variant,
        segments.segment_name,
        {{ segment_value('segments', 'units', segments) }} as segment_value,
        units.cluster_id,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        sum(units.m_{{ i }}) as m_{{ i }},
        {%- if 'c' in reading.columns %}
        sum(units.n_covariate_missing_{{ i }}) as n_covariate_missing_{{ i }},
        {%- endif %}
        sum(units.n_immature_{{ i }}) as n_immature_{{ i }},
        {%- for variable in variables_of(reading) %}
        sum(units.{{ variable }}_{{ i }}) as {{ variable }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        sum(units.n_multi) as n_multi,
        sum(units.n_late) as n_late,
        max(units.n_exposed) as n_exposed,
        max(units.n_clusters_shared) as n_clusters_shared
    from {{ prefix }}_units as units
    cross join segments
    where units.cluster_id is not null
    group by 1, 2, 3, 4, 5

),

{{ prefix }}_parts as (

    select
        cells.experiment_id,
        cells.variant,
        segments.segment_name,
        {{ segment_value('segments', 'cells', segments) }} as segment_value,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set variables = variables_of(reading) %}
        cells.n_units_{{ i }} as n_rows_{{ i }},
        cells.n_units_{{ i }},
        cells.n_units_{{ i }} as n_unclustered_{{ i }},
        {%- if 'c' in reading.columns %}
        cells.n_covariate_missing_{{ i }},
        {%- endif %}
        cells.n_immature_{{ i }},
        0 as n_clusters_shared_{{ i }},
        cells.n_units_{{ i }} as s_mm_{{ i }},
        {%- for variable in variables %}
        cells.s_{{ variable }}_{{ i }},
        cells.s_{{ variable }}_{{ i }} as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables) %}
        cells.s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        cells.n_exposed,
        cells.n_multi,
        cells.n_late
    from {{ prefix }}_cells as cells
    cross join segments
    union all
    select
        experiment_id,
        variant,
        segment_name,
        segment_value,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set variables = variables_of(reading) %}
        case when m_{{ i }} > 0 then 1 else 0 end as n_rows_{{ i }},
        m_{{ i }} as n_units_{{ i }},
        0 as n_unclustered_{{ i }},
        {%- if 'c' in reading.columns %}
        n_covariate_missing_{{ i }},
        {%- endif %}
        n_immature_{{ i }},
        case when m_{{ i }} > 0 then n_clusters_shared else 0 end as n_clusters_shared_{{ i }},
        m_{{ i }} * m_{{ i }} as s_mm_{{ i }},
        {%- for variable in variables %}
        {{ variable }}_{{ i }} as s_{{ variable }}_{{ i }},
        m_{{ i }} * {{ variable }}_{{ i }} as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables) %}
        {{ one }}_{{ i }} * {{ two }}_{{ i }} as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        n_exposed,
        n_multi,
        n_late
    from {{ prefix }}_clusters

),

{{ prefix }}_sums as (

    select
        {{ key | join(', ') }},
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- for name in moment_columns_of(reading) %}
        sum({{ name }}_{{ i }}) as {{ name }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        sum(n_exposed) as n_exposed,
        sum(n_multi) as n_multi,
        sum(n_late) as n_late
    from {{ prefix }}_parts
    group by {{ key | join(', ') }}

),

{{ prefix }}_readings as (
    {% for reading in readings %}
    select
        {{ reading.place }} as reading,
        '{{ reading.metric.name }}' as metric,
        '{{ reading.pair_role }}' as pair_role,
        '{{ reading.totals }}' as totals,
        {{ "'" ~ reading.used.name ~ "'" if reading.used else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as uptake_metric
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

{{ prefix }} as (

    select
        sums.experiment_id,
        sums.variant,
        readings.metric,
        sums.segment_name,
        sums.segment_value,
        readings.pair_role,
        readings.totals,
        readings.uptake_metric,
        {%- for name in moment_columns() %}
        cast(case readings.reading when -1 then 0 {% for reading in readings if name in moment_columns_of(reading) %}when {{ reading.place }} then sums.{{ name }}_{{ reading.place }} {% endfor %}else 0 end as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        {%- for variable in moment_variables() %}
        coalesce(cast(case readings.reading when -1 then 0 {% for reading in readings if variable in reading.columns %}when {{ reading.place }} then constants.{{ reading.columns[variable] }} {% endfor %}else 0 end as {{ type_double() }}), 0) as k_{{ variable }},
        {%- endfor %}
        constants.n_users_repeated,
        sums.n_exposed,
        sums.n_multi,
        sums.n_late
    from {{ prefix }}_sums as sums
    inner join constants on sums.experiment_id = constants.experiment_id
    cross join {{ prefix }}_readings as readings

)
{%- endmacro %}
