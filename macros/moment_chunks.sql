{# CTEs that end in `chunk_<number>`: sums of some estimands in one pass over `totals`, by experiment, variant and segment value,
   about the constants in `constants`. A unit alone is a row of its cell; the units of a cluster are summed first. #}
{% macro moment_chunk_ctes(number, estimands) %}
    {%- set prefix = 'chunk_' ~ number -%}
    {%- set summed = summed_values(estimands) -%}
{{ prefix }}_units as {{ not_materialized() }} (

    {{ summed_units(summed, estimands) }}

),

{{ prefix }}_cells as (

    {{ cell_sums(prefix, summed, estimands) }}

),

{{ prefix }}_clusters as (

    {{ cluster_sums(prefix, summed, estimands) }}

),

{{ prefix }}_parts as (

    {{ cells_and_clusters(prefix, summed, estimands) }}

),

{{ prefix }}_sums as (

    {{ segment_sums(prefix, estimands) }}

),

{{ prefix }}_estimands as (

    {{ named_estimands(estimands) }}

),

{{ prefix }} as (

    {{ stacked_estimands(prefix, estimands) }}

)
{%- endmacro %}

{# What is summed of a unit for some estimands, each value once however many estimands share it: `values` by name, and by place of a
   estimand the `names` of its variables. A value is NULL where its estimand drops the unit. #}
{% macro summed_values(estimands) %}
    {% set shifted = shifted_columns() %}
    {% set names_of_values = {} %}
    {% set names = {} %}
    {% for estimand in estimands %}
        {% set cap = 'caps_' ~ estimand.place ~ '.cap_value' %}
        {% set of_estimand = {} %}
        {% for variable, column in estimand.columns.items() %}
            {% set value = 'totals.' ~ column %}
            {% if estimand.totals == 'capped' and variable in ['y', 'x', 'e'] %}
                {#- each half of the days before has its own half of the cap, so that no trend is made by it -#}
                {% set later = 'totals.' ~ estimand.metric.numerator ~ '_just_before' %}
                {% set earlier, half = value ~ ' - ' ~ later, cap ~ ' / 2' %}
                {% set value = {
                    'y': cut_at(value, cap),
                    'e': cut_at(later, half),
                    'x': cut_at(earlier, half) ~ ' + ' ~ cut_at(later, half),
                }[variable] %}
            {% endif %}
            {% set value = value ~ ' - constants.' ~ column if column in shifted else value %}
            {% do of_estimand.update({variable: 'coalesce(' ~ value ~ ', 0)' if variable == 'c' else value}) %}
        {% endfor %}
        {% if 'c' in estimand.columns %}
            {% do of_estimand.update({'missing': 'case when totals.covariate is null and constants.covariate is not null then 1 else 0 end'}) %}
        {% endif %}
        {% for variable, value in of_estimand.items() %}
            {% set present = [] %}
            {% for brick in estimand.dropped if brick != estimand.columns[variable] %}
                {% do present.append('totals.' ~ brick ~ ' is not null') %}
            {% endfor %}
            {% set value = 'case when ' ~ present | join(' and ') ~ ' then ' ~ value ~ ' end' if present else value %}
            {% do names_of_values.setdefault(value, 'value_' ~ names_of_values | length) %}
            {% do of_estimand.update({variable: names_of_values[value]}) %}
        {% endfor %}
        {% do names.update({estimand.place: of_estimand}) %}
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
{% macro summed_units(summed, estimands) -%}
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
        {{ unit_maturity('totals') }} as maturity
    from totals
    {%- if shifted_columns() or has_covariates() %}
    inner join constants on totals.experiment_id = constants.experiment_id
    {%- endif %}
    {%- for estimand in estimands if estimand.totals == 'capped' %}
    {%- set i = estimand.place %}
    left join caps as caps_{{ i }}
        on totals.experiment_id = caps_{{ i }}.experiment_id
        and caps_{{ i }}.metric = '{{ estimand.metric.name }}'
    {%- endfor %}
    where not totals.is_multi_exposed or totals.variant_number = 1
{%- endmacro %}

{# Units without a cluster, summed by the values of all segments and by maturity at once. #}
{% macro cell_sums(prefix, summed, estimands) -%}
    {%- set segments = setting('segments') -%}
    {%- set products = {} -%}
    {%- set not_of_all = {} -%}
    {%- for estimand in estimands -%}
        {%- set names = summed.names[estimand.place] -%}
        {%- if estimand.dropped -%}
            {%- do not_of_all.update({names.y: true}) -%}
        {%- endif -%}
        {%- for one, two in pairs_of(variables_of(estimand)) -%}
            {%- do products.update({product_of(names[one], names[two]): names[one] ~ ' * ' ~ names[two]}) -%}
        {%- endfor -%}
    {%- endfor -%}
    select
        experiment_id,
        variant,
        maturity,
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
    group by experiment_id, variant, maturity{% for segment in segments %}, {{ segment }}{% endfor %}
{%- endmacro %}

{# Units of a cluster, summed by cluster and segment value. #}
{% macro cluster_sums(prefix, summed, estimands) -%}
    {%- set segments = setting('segments') -%}
    select
        units.experiment_id,
        units.variant,
        segments.segment_name,
        {{ segment_value('segments', 'units', segments) }} as segment_value,
        units.cluster_id,
        {%- for estimand in estimands %}
        {%- set i = estimand.place %}
        {%- set names = summed.names[i] %}
        cast(count(case when units.maturity >= {{ estimand.maturity }} then units.{{ names.y }} end) as {{ type_double() }}) as m_{{ i }},
        count(case when units.maturity between 0 and {{ estimand.maturity - 1 }} then 1 end) as n_immature_{{ i }},
        {%- if 'c' in estimand.columns %}
        coalesce(sum(case when units.maturity >= {{ estimand.maturity }} then units.{{ names.missing }} end), 0) as n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(estimand) %}
        coalesce(sum(case when units.maturity >= {{ estimand.maturity }} then units.{{ names[variable] }} end), 0) as {{ variable }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        max(case when units.maturity = -2 then 0 else 1 end) as n_exposed,
        count(case when units.maturity = -2 then 1 end) as n_multi,
        count(case when units.maturity = -1 then 1 end) as n_late,
        max(case when units.is_cluster_shared then 1 else 0 end) as n_clusters_shared
    from {{ prefix }}_units as units
    cross join segments
    where units.cluster_id is not null
    group by 1, 2, 3, 4, 5
{%- endmacro %}

{# Cells by segment value, and beside them clusters with their products. #}
{% macro cells_and_clusters(prefix, summed, estimands) -%}
    {%- set segments = setting('segments') -%}
    select
        cells.experiment_id,
        cells.variant,
        segments.segment_name,
        {{ segment_value('segments', 'cells', segments) }} as segment_value,
        {%- for estimand in estimands %}
        {%- set i = estimand.place %}
        {%- set names = summed.names[i] %}
        {%- set counted = 'case when cells.maturity >= ' ~ estimand.maturity ~ ' then cells.' %}
        {%- set units = counted ~ ('n_' ~ names.y if estimand.dropped else 'n_units') ~ ' else 0 end' %}
        {{ units }} as n_rows_{{ i }},
        {{ units }} as n_units_{{ i }},
        {{ units }} as n_unclustered_{{ i }},
        {{ units }} as s_mm_{{ i }},
        case when cells.maturity between 0 and {{ estimand.maturity - 1 }} then cells.n_units else 0 end as n_immature_{{ i }},
        0 as n_clusters_shared_{{ i }},
        {%- if 'c' in estimand.columns %}
        {{ counted }}s_{{ names.missing }} else 0 end as n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(estimand) %}
        {{ counted }}s_{{ names[variable] }} else 0 end as s_{{ variable }}_{{ i }},
        {{ counted }}s_{{ names[variable] }} else 0 end as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables_of(estimand)) %}
        {{ counted }}s_{{ product_of(names[one], names[two]) }} else 0 end as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        case when cells.maturity > -2 then cells.n_units else 0 end as n_exposed,
        case when cells.maturity = -2 then cells.n_units else 0 end as n_multi,
        case when cells.maturity = -1 then cells.n_units else 0 end as n_late
    from {{ prefix }}_cells as cells
    cross join segments
    union all
    select
        experiment_id,
        variant,
        segment_name,
        segment_value,
        {%- for estimand in estimands %}
        {%- set i = estimand.place %}
        case when m_{{ i }} > 0 then 1 else 0 end as n_rows_{{ i }},
        m_{{ i }} as n_units_{{ i }},
        0 as n_unclustered_{{ i }},
        m_{{ i }} * m_{{ i }} as s_mm_{{ i }},
        n_immature_{{ i }},
        case when m_{{ i }} > 0 then n_clusters_shared else 0 end as n_clusters_shared_{{ i }},
        {%- if 'c' in estimand.columns %}
        n_covariate_missing_{{ i }},
        {%- endif %}
        {%- for variable in variables_of(estimand) %}
        {{ variable }}_{{ i }} as s_{{ variable }}_{{ i }},
        m_{{ i }} * {{ variable }}_{{ i }} as s_m{{ variable }}_{{ i }},
        {%- endfor %}
        {%- for one, two in pairs_of(variables_of(estimand)) %}
        {{ one }}_{{ i }} * {{ two }}_{{ i }} as s_{{ one }}{{ two }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        n_exposed,
        n_multi,
        n_late
    from {{ prefix }}_clusters
{%- endmacro %}

{# Sums by segment value, all estimands in a row. #}
{% macro segment_sums(prefix, estimands) -%}
    select
        experiment_id,
        variant,
        segment_name,
        segment_value,
        {%- for estimand in estimands %}
        {%- set i = estimand.place %}
        {%- for name in moment_columns_of(estimand) %}
        sum({{ name }}_{{ i }}) as {{ name }}_{{ i }},
        {%- endfor %}
        {%- endfor %}
        sum(n_exposed) as n_exposed,
        sum(n_multi) as n_multi,
        sum(n_late) as n_late
    from {{ prefix }}_parts
    group by experiment_id, variant, segment_name, segment_value
{%- endmacro %}

{# What each estimand is, by its place. #}
{% macro named_estimands(estimands) -%}
    {% for estimand in estimands %}
    select
        {{ estimand.place }} as estimand,
        '{{ estimand.metric.name }}' as metric,
        '{{ estimand.pair_role }}' as pair_role,
        '{{ estimand.totals }}' as totals,
        {{ "'" ~ estimand.used.name ~ "'" if estimand.used else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as uptake_metric
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Sums and constants, a row per estimand. #}
{% macro stacked_estimands(prefix, estimands) -%}
    {#- a constant that was not taken off is none, whatever the table says by the time this runs #}
    {%- set shifted = shifted_columns() -%}
    select
        sums.experiment_id,
        sums.variant,
        estimands.metric,
        sums.segment_name,
        sums.segment_value,
        estimands.pair_role,
        estimands.totals,
        estimands.uptake_metric,
        {%- for name in moment_columns() %}
        cast(case estimands.estimand when -1 then 0 {% for estimand in estimands if name in moment_columns_of(estimand) %}when {{ estimand.place }} then sums.{{ name }}_{{ estimand.place }} {% endfor %}else 0 end as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        {%- for variable in moment_variables() %}
        coalesce(cast(case estimands.estimand when -1 then 0 {% for estimand in estimands if estimand.columns[variable] in shifted %}when {{ estimand.place }} then constants.{{ estimand.columns[variable] }} {% endfor %}else 0 end as {{ type_double() }}), 0) as k_{{ variable }},
        {%- endfor %}
        constants.n_users_repeated,
        sums.n_exposed,
        sums.n_multi,
        sums.n_late
    from {{ prefix }}_sums as sums
    inner join constants on sums.experiment_id = constants.experiment_id
    cross join {{ prefix }}_estimands as estimands
{%- endmacro %}
