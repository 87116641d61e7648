{# CTEs that end in `chunk_<number>`: sums of some readings in one pass over `totals`, by experiment, variant and segment value,
   about the constants in `constants`. A unit alone is a row of its cell; the units of a cluster are summed first. #}
{% macro moment_chunk_ctes(number, readings) %}
    {%- set prefix = 'chunk_' ~ number -%}
    {%- set summed = summed_values(readings) -%}
{{ prefix }}_units as {{ not_materialized() }} (

    {{ summed_units(summed, readings) }}

),

{{ prefix }}_cells as (

    {{ cell_sums(prefix, summed, readings) }}

),

{{ prefix }}_clusters as (

    {{ cluster_sums(prefix, summed, readings) }}

),

{{ prefix }}_parts as (

    {{ cells_and_clusters(prefix, summed, readings) }}

),

{{ prefix }}_sums as (

    {{ segment_sums(prefix, readings) }}

),

{{ prefix }}_readings as (

    {{ named_readings(readings) }}

),

{{ prefix }} as (

    {{ stacked_readings(prefix, readings) }}

)
{%- endmacro %}

{# What is summed of a unit for some readings, each value once however many readings share it: `values` by name, and by place of a
   reading the `names` of its variables. A value is NULL where its reading drops the unit. #}
{% macro summed_values(readings) %}
    {% set shifted = shifted_columns() %}
    {% set names_of_values = {} %}
    {% set names = {} %}
    {% for reading in readings %}
        {% set cap = 'caps_' ~ reading.place ~ '.cap_value' %}
        {% set of_reading = {} %}
        {% for variable, column in reading.columns.items() %}
            {% set value = 'totals.' ~ column %}
            {% if reading.totals == 'capped' and variable in ['y', 'x', 'e'] %}
                {#- each half of the days before has its own half of the cap, so that no trend is made by it -#}
                {% set later = 'totals.' ~ reading.metric.numerator ~ '_just_before' %}
                {% set earlier, half = value ~ ' - ' ~ later, cap ~ ' / 2' %}
                {% set value = {
                    'y': cut_at(value, cap),
                    'e': cut_at(later, half),
                    'x': cut_at(earlier, half) ~ ' + ' ~ cut_at(later, half),
                }[variable] %}
            {% endif %}
            {% set value = value ~ ' - constants.' ~ column if column in shifted else value %}
            {% do of_reading.update({variable: 'coalesce(' ~ value ~ ', 0)' if variable == 'c' else value}) %}
        {% endfor %}
        {% if 'c' in reading.columns %}
            {% do of_reading.update({'missing': 'case when totals.covariate is null and constants.covariate is not null then 1 else 0 end'}) %}
        {% endif %}
        {% for variable, value in of_reading.items() %}
            {% set present = [] %}
            {% for brick in reading.dropped if brick != reading.columns[variable] %}
                {% do present.append('totals.' ~ brick ~ ' is not null') %}
            {% endfor %}
            {% set value = 'case when ' ~ present | join(' and ') ~ ' then ' ~ value ~ ' end' if present else value %}
            {% do names_of_values.setdefault(value, 'value_' ~ names_of_values | length) %}
            {% do of_reading.update({variable: names_of_values[value]}) %}
        {% endfor %}
        {% do names.update({reading.place: of_reading}) %}
    {% endfor %}
    {% set values = {} %}
    {% for value, name in names_of_values.items() %}
        {% do values.update({name: value}) %}
    {% endfor %}
    {{ return({'values': values, 'names': names}) }}
{% endmacro %}

{# A value, or the limit where it lies above; the value where there is no limit. #}
{% macro cut_at(value, limit) %}
    {{ return('case when ' ~ value ~ ' > ' ~ limit ~ ' then ' ~ limit ~ ' else ' ~ value ~ ' end') }}
{% endmacro %}

{# The name of a product of two values, whichever comes first. #}
{% macro product_of(one, two) %}
    {{ return([one, two] | sort | join('_')) }}
{% endmacro %}

{# Units of `totals`, each once, with what is summed of them. #}
{% macro summed_units(summed, readings) -%}
    select
        totals.experiment_id,
        totals.variant,
        totals.cluster_id,
        totals.is_cluster_shared,
        {%- for segment in setting('segments') %}
        totals.{{ segment }},
        {%- endfor %}
        {%- for name, value in summed['values'].items() %}
        {{ value }} as {{ name }},
        {%- endfor %}
        {{ unit_standing('totals') }} as standing
    from totals
    {%- if shifted_columns() or has_covariates() %}
    inner join constants on totals.experiment_id = constants.experiment_id
    {%- endif %}
    {%- for reading in readings if reading.totals == 'capped' %}
    {%- set i = reading.place %}
    left join caps as caps_{{ i }}
        on totals.experiment_id = caps_{{ i }}.experiment_id
        and caps_{{ i }}.metric = '{{ reading.metric.name }}'
    {%- endfor %}
    where not totals.is_multi_exposed or totals.variant_number = 1
{%- endmacro %}

{# Units without a cluster, summed by the values of all segments and by standing at once. #}
{% macro cell_sums(prefix, summed, readings) -%}
    {%- set segments = setting('segments') -%}
    {%- set products = {} -%}
    {%- set not_of_all = {} -%}
    {%- for reading in readings -%}
        {%- set names = summed.names[reading.place] -%}
        {%- if reading.dropped -%}
            {%- do not_of_all.update({names.y: true}) -%}
        {%- endif -%}
        {%- for one, two in pairs_of(variables_of(reading)) -%}
            {%- do products.update({product_of(names[one], names[two]): names[one] ~ ' * ' ~ names[two]}) -%}
        {%- endfor -%}
    {%- endfor -%}
    select
        experiment_id,
        variant,
        standing,
        {%- for segment in segments %}
        {{ segment }},
        {%- endfor %}
        {%- for name in not_of_all %}
        count({{ name }}) as n_{{ name }},
        {%- endfor %}
        {%- for name in summed['values'] %}
        coalesce(sum({{ name }}), 0) as s_{{ name }},
        {%- endfor %}
        {%- for name, product in products.items() %}
        coalesce(sum({{ product }}), 0) as s_{{ name }},
        {%- endfor %}
        count(*) as n_units
    from {{ prefix }}_units
    where cluster_id is null
    group by experiment_id, variant, standing{% for segment in segments %}, {{ segment }}{% endfor %}
{%- endmacro %}

{# Units of a cluster, summed by cluster and segment value. #}
{% macro cluster_sums(prefix, summed, readings) -%}
    {%- set segments = setting('segments') -%}
    select
        units.experiment_id,
        units.variant,
        segments.segment_name,
        {{ segment_value('segments', 'units', segments) }} as segment_value,
        units.cluster_id,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set names = summed.names[i] %}
        cast(count(case when units.standing >= {{ reading.standing }} then units.{{ names.y }} end) as {{ type_double() }}) as m_{{ i }},
        count(case when units.standing between 0 and {{ reading.standing - 1 }} then 1 end) as n_immature_{{ i }},
        {%- if 'c' in reading.columns %}
        coalesce(sum(case when units.standing >= {{ reading.standing }} then units.{{ names.missing }} end), 0) as n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(reading) %}
        coalesce(sum(case when units.standing >= {{ reading.standing }} then units.{{ names[variable] }} end), 0) as {{ variable }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        max(case when units.standing = -2 then 0 else 1 end) as n_exposed,
        count(case when units.standing = -2 then 1 end) as n_multi,
        count(case when units.standing = -1 then 1 end) as n_late,
        max(case when units.is_cluster_shared then 1 else 0 end) as n_clusters_shared
    from {{ prefix }}_units as units
    cross join segments
    where units.cluster_id is not null
    group by 1, 2, 3, 4, 5
{%- endmacro %}

{# Cells by segment value, and beside them clusters with their products. #}
{% macro cells_and_clusters(prefix, summed, readings) -%}
    {%- set segments = setting('segments') -%}
    select
        cells.experiment_id,
        cells.variant,
        segments.segment_name,
        {{ segment_value('segments', 'cells', segments) }} as segment_value,
        {%- for reading in readings %}
        {%- set i = reading.place %}
        {%- set names = summed.names[i] %}
        {%- set counted = 'case when cells.standing >= ' ~ reading.standing ~ ' then cells.' %}
        {%- set units = counted ~ ('n_' ~ names.y if reading.dropped else 'n_units') ~ ' else 0 end' %}
        {{ units }} as n_rows_{{ i }},
        {{ units }} as n_units_{{ i }},
        {{ units }} as n_unclustered_{{ i }},
        {{ units }} as s_mm_{{ i }},
        case when cells.standing between 0 and {{ reading.standing - 1 }} then cells.n_units else 0 end as n_immature_{{ i }},
        0 as n_clusters_shared_{{ i }},
        {%- if 'c' in reading.columns %}
        {{ counted }}s_{{ names.missing }} else 0 end as n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(reading) %}
        {{ counted }}s_{{ names[variable] }} else 0 end as s_{{ variable }}_{{ i }},
        {{ counted }}s_{{ names[variable] }} else 0 end as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables_of(reading)) %}
        {{ counted }}s_{{ product_of(names[one], names[two]) }} else 0 end as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        case when cells.standing > -2 then cells.n_units else 0 end as n_exposed,
        case when cells.standing = -2 then cells.n_units else 0 end as n_multi,
        case when cells.standing = -1 then cells.n_units else 0 end as n_late
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
        case when m_{{ i }} > 0 then 1 else 0 end as n_rows_{{ i }},
        m_{{ i }} as n_units_{{ i }},
        0 as n_unclustered_{{ i }},
        m_{{ i }} * m_{{ i }} as s_mm_{{ i }},
        n_immature_{{ i }},
        case when m_{{ i }} > 0 then n_clusters_shared else 0 end as n_clusters_shared_{{ i }},
        {%- if 'c' in reading.columns %}
        n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(reading) %}
        {{ variable }}_{{ i }} as s_{{ variable }}_{{ i }},
        m_{{ i }} * {{ variable }}_{{ i }} as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables_of(reading)) %}
        {{ one }}_{{ i }} * {{ two }}_{{ i }} as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        n_exposed,
        n_multi,
        n_late
    from {{ prefix }}_clusters
{%- endmacro %}

{# Sums by segment value, all readings in a row. #}
{% macro segment_sums(prefix, readings) -%}
    select
        experiment_id,
        variant,
        segment_name,
        segment_value,
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
    group by experiment_id, variant, segment_name, segment_value
{%- endmacro %}

{# What each reading is, by its place. #}
{% macro named_readings(readings) -%}
    {% for reading in readings %}
    select
        {{ reading.place }} as reading,
        '{{ reading.metric.name }}' as metric,
        '{{ reading.pair_role }}' as pair_role,
        '{{ reading.totals }}' as totals,
        {{ "'" ~ reading.used.name ~ "'" if reading.used else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as uptake_metric
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Sums and constants, a row per reading. #}
{% macro stacked_readings(prefix, readings) -%}
    {#- a constant that was not taken off is none, whatever the table says by the time this runs #}
    {%- set shifted = shifted_columns() -%}
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
        coalesce(cast(case readings.reading when -1 then 0 {% for reading in readings if reading.columns[variable] in shifted %}when {{ reading.place }} then constants.{{ reading.columns[variable] }} {% endfor %}else 0 end as {{ type_double() }}), 0) as k_{{ variable }},
        {%- endfor %}
        constants.n_users_repeated,
        sums.n_exposed,
        sums.n_multi,
        sums.n_late
    from {{ prefix }}_sums as sums
    inner join constants on sums.experiment_id = constants.experiment_id
    cross join {{ prefix }}_readings as readings
{%- endmacro %}
