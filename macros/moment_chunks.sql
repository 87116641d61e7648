{# CTEs that end in `chunk_<number>`: sums of some readings in one pass over `totals`, by experiment, variant and segment value,
   about the constants in `constants`. A unit alone is a row of its cell; the units of a cluster are summed first. #}
{% macro moment_chunk_ctes(number, readings) %}
    {%- set prefix = 'chunk_' ~ number -%}
{{ prefix }}_flags as {{ not_materialized() }} (

    {{ flagged_units(readings) }}

),

{{ prefix }}_units as {{ not_materialized() }} (

    {{ distances(prefix, readings) }}

),

{{ prefix }}_cells as (

    {{ cell_sums(prefix, readings) }}

),

{{ prefix }}_clusters as (

    {{ cluster_sums(prefix, readings) }}

),

{{ prefix }}_parts as (

    {{ cells_and_clusters(prefix, readings) }}

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

{# Units of `totals`, each once: for which readings they count, and the constants and caps of those. #}
{% macro flagged_units(readings) -%}
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
{%- endmacro %}

{# Units with each variable less its constant; zero where they do not count. #}
{% macro distances(prefix, readings) -%}
    {%- set segments = setting('segments') -%}
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
{%- endmacro %}

{# Units without a cluster, summed by the values of all segments at once. #}
{% macro cell_sums(prefix, readings) -%}
    {%- set segments = setting('segments') -%}
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
{%- endmacro %}

{# Units of a cluster, summed by cluster and segment value. #}
{% macro cluster_sums(prefix, readings) -%}
    {%- set segments = setting('segments') -%}
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
{%- endmacro %}

{# Cells by segment value, and beside them clusters with their products. #}
{% macro cells_and_clusters(prefix, readings) -%}
    {%- set segments = setting('segments') -%}
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
{%- endmacro %}
