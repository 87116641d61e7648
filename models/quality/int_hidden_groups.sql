-- One row per model, version, protected attribute or pair of them, group and period of which nothing may be shown.
{%- set table = 'model_id, attribute, period, period_end_date' %}
with group_patterns as (

    select * from {{ ref('int_group_patterns') }}

),

group_tables as (

    {{ group_table_rows() }}

),

-- each attribute alone counts every decision of a version
attribute_sizes as (

    select
        {{ table }},
        model_version,
        sum(unit_count) as unit_count
    from group_patterns
    where model_version <> 'all' and not is_pair
    group by {{ table }}, model_version

),

version_sizes as (

    select
        model_id,
        period,
        period_end_date,
        model_version,
        max(unit_count) as unit_count
    from attribute_sizes
    group by model_id, period, period_end_date, model_version

),

-- the smallest versions are hidden first
version_places as (

    select
        *,
        row_number() over (
            partition by model_id, period, period_end_date
            order by unit_count nulls last, model_version nulls last
        ) as place,
        sum(case when unit_count > 0 then 1 else 0 end) over (
            partition by model_id, period, period_end_date
            order by unit_count nulls last, model_version nulls last
            rows between unbounded preceding and current row
        ) as filled_versions
    from version_sizes

),

-- each version, and it together with those before it
cells as (

    select
        group_patterns.*,
        version_places.place,
        version_places.filled_versions,
        sum(group_patterns.unit_count) over (
            partition by
                group_patterns.model_id,
                group_patterns.attribute,
                group_patterns.period,
                group_patterns.period_end_date,
                group_patterns.group_value,
                group_patterns.other_value
            order by version_places.place nulls last
            rows between unbounded preceding and current row
        ) as reached_count
    from group_patterns
    inner join version_places
        on {{ same_table_of_groups('group_patterns', 'version_places') }}
        and group_patterns.model_version = version_places.model_version

),

lines as (

    {{ lines_of_groups('cells') }}

),

line_sums as (

    select
        {%- for count in ['unit_count', 'reached_count'] %}
        max(
            case when not is_hidden and {{ count }} between 1 and {{ setting('minimum_cell') }} - 1 then 1 else 0 end
        ) as {{ count }}_is_small,
        sum(case when is_hidden and {{ count }} > 0 then 1 else 0 end) as {{ count }}_hidden_cells,
        sum(case when is_hidden then {{ count }} else 0 end) as {{ count }}_hidden,
        {%- endfor %}
        {{ table }},
        place,
        filled_versions
    from lines
    group by {{ table }}, place, filled_versions, side, line_value

),

-- whether a version tells too much alone, and whether the total less all larger versions does
version_states as (

    select
        {%- for count, name in {'unit_count': 'tells_alone', 'reached_count': 'tells_as_rest'}.items() %}
        max(
            case
                when {{ count }}_is_small = 0 and ({{ covers_hidden(count ~ '_hidden_cells', count ~ '_hidden') }}) then 0
                else 1
            end
        ) as {{ name }},
        {%- endfor %}
        {{ table }},
        place,
        filled_versions
    from line_sums
    group by {{ table }}, place, filled_versions

),

needed_places as (

    select
        {{ table }},
        max(case when tells_alone = 1 then place else 0 end) as needed_place
    from version_states
    group by {{ table }}

),

attribute_cuts as (

    {{ cuts_of_versions('needed_places') }}

),

-- a version shows its pairs where it shows both attributes of them
pair_places as (

    select
        needed_places.model_id,
        needed_places.attribute,
        needed_places.period,
        needed_places.period_end_date,
        greatest(needed_places.needed_place, coalesce(max(parts.last_hidden_place), 0)) as needed_place
    from needed_places
    inner join group_tables on needed_places.attribute = group_tables.attribute
    left join attribute_cuts as parts
        on {{ same_table_of_groups('needed_places', 'parts') }}
        and group_tables.second_attribute is not null
        and parts.attribute in (group_tables.first_attribute, group_tables.second_attribute)
    group by
        needed_places.model_id,
        needed_places.attribute,
        needed_places.period,
        needed_places.period_end_date,
        needed_places.needed_place

),

cuts as (

    {{ cuts_of_versions('pair_places') }}

),

-- pairs that show no group at all, most often because one of an attribute is rare
hidden_tables as (

    select
        {{ table }}
    from group_patterns
    where is_pair and model_version = 'all'
    group by {{ table }}
    having min(case when is_hidden then 1 else 0 end) = 1

),

hidden_groups as (

    select
        group_patterns.model_id,
        group_patterns.model_version,
        group_patterns.attribute,
        group_patterns.group_value,
        group_patterns.other_value,
        group_patterns.period,
        hidden_tables.model_id is not null as hides_table,
        group_patterns.period_end_date
    from group_patterns
    left join hidden_tables
        on {{ same_table_of_groups('group_patterns', 'hidden_tables') }}
        and group_patterns.attribute = hidden_tables.attribute
    left join version_places
        on {{ same_table_of_groups('group_patterns', 'version_places') }}
        and group_patterns.model_version = version_places.model_version
    -- a pair of which every row and column is hidden has no line, and so no cut
    left join cuts
        on {{ same_table_of_groups('group_patterns', 'cuts') }}
        and group_patterns.attribute = cuts.attribute
    where group_patterns.is_hidden or version_places.place <= cuts.last_hidden_place

)

select * from hidden_groups
