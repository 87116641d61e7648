{#  What the door found out about a delivery. Each check is a query with the columns of check_columns(): one row per raw table,
    model and detail. `stops` are tests on stg_<table>, all of them are fct_input_checks. #}

{# Shares unless they are named otherwise; the setting input_thresholds overrides any of them. #}
{% macro default_thresholds() %}
    {{ return({
        'rejected_rows': {'warn': 0.01, 'stop': 0.5, 'least': 20},
        'nulled_cells': {'warn': 0.01},
        'reused_keys': {'stop': 0.005, 'least': 20},
        'keys_met': {'warn': 0.8, 'drop': 0.2, 'least': 20},
        'arms_met': {'warn': 0.5, 'stop': 0.5, 'least': 50},
        'classes': {'least': 20},
        'event_times': {'warn': 0.01, 'years': 10},
    }) }}
{% endmacro %}

{% macro threshold(check, name) %}
    {{ return((setting('input_thresholds') or {}).get(check, {}).get(name, default_thresholds()[check][name])) }}
{% endmacro %}

{# What the checks of a raw table say, without those that ask other raw tables. #}
{% macro own_checks(table) -%}
    {%- set queries = [rejected_rows_check(table), nulled_cells_check(table), reused_keys_check(table), event_times_check(table), words_check(table), spellings_check(table), ids_check(table)] -%}
    {%- do queries.append(environment_check()) if table == 'prediction_logs' -%}
    {%- do queries.append(outcome_classes_check()) if table == 'business_outcomes' -%}
    {%- do queries.append(days_alone_check()) if table == 'experiment_assignments' -%}
    {{ queries | map('trim') | select | join('\nunion all\n') }}
{%- endmacro %}

{# A row of a check: how many of how many rows or keys are affected, and whether that warns or stops. #}
{% macro check_row(table, check, affected, checked, warns, stops, example, fix, model_id="'(all)'", detail="''") -%}
    {%- set text = dbt.type_string() %}
    cast('{{ table }}' as {{ text }}) as table_name,
    cast({{ model_id }} as {{ text }}) as model_id,
    cast({{ check if check.startswith('told.') else "'" ~ check ~ "'" }} as {{ text }}) as check_name,
    cast({{ detail }} as {{ text }}) as detail,
    cast({{ affected }} as bigint) as affected_count,
    cast({{ checked }} as bigint) as checked_count,
    coalesce({{ warns }}, false) as warns,
    coalesce({{ stops }}, false) as stops,
    cast({{ example }} as {{ text }}) as example,
    cast({{ fix }} as {{ text }}) as fix
{%- endmacro %}

{# The model that a row of a checked relation names. #}
{% macro model_of(table) %}
    {% set has_model = 'model_id' in contract(table).columns | map(attribute='name') %}
    {{ return("coalesce(model_id, '(none)')" if has_model else "'(all)'") }}
{% endmacro %}

{# Rows that break the contract: all of a table, and by reason. #}
{% macro rejected_rows_check(table) -%}
    {%- set warn, stop, least = threshold('rejected_rows', 'warn'), threshold('rejected_rows', 'stop'), threshold('rejected_rows', 'least') -%}
    {%- set fix = "'Correct them, or map them in vars.yml. See stg_rejected_rows.'" -%}
    {%- set rejected = 'count(reject_reason)' %}
select
    {{ check_row(table, 'rejected_rows', rejected, 'count(*)',
        rejected ~ ' > ' ~ warn ~ ' * count(*) and ' ~ rejected ~ ' >= ' ~ least,
        rejected ~ ' > ' ~ stop ~ ' * count(*) and ' ~ rejected ~ ' >= ' ~ least,
        'max(reject_reason)', fix) }}
from {{ ref('chk_' ~ table) }}
union all
select
    {{ check_row(table, 'rejected_rows', 'count(*)', 'max(total.row_count)', 'false', 'false',
        "min(nullif(" ~ row_key(contract(table)) ~ ", ''))", fix, detail='reject_reason') }}
from {{ ref('chk_' ~ table) }}
cross join (select count(*) as row_count from {{ ref('chk_' ~ table) }}) as total
where reject_reason is not null
group by reject_reason
{%- endmacro %}

{# Cells that count as missing because they cannot be read or are out of range. #}
{% macro nulled_cells_check(table) -%}
    {%- set told = [] -%}
    {%- for column in contract(table).columns if column.on_bad == 'null' -%}
        {%- set words = [column.name ~ ' is not ' ~ in_words(column.type)] if column.type != 'string' else [] -%}
        {%- for said in words + value_faults(column, column.name) | map(attribute='words') | list -%}
            {%- do told.append({
                'detail': said,
                'condition': "nulled_cells like '%" ~ said ~ ": %'",
                'example': "split_part(split_part(nulled_cells, '" ~ said ~ ": ', 2), chr(10), 1)",
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if told %}
select
    {{ check_row(table, 'nulled_cells', 'affected', 'total_count', 'affected > ' ~ threshold('nulled_cells', 'warn') ~ ' * total_count', 'false',
        'example', "'Correct them, or map the column in vars.yml.'", model_id='model', detail='detail') }}
from {{ told_of_rows(table, told) }}
    {%- endif %}
{%- endmacro %}

{# Of each condition in `told` how many kept rows meet it, with an example, and how many rows there are: by model and in all. One scan
   for all of them. #}
{% macro told_of_rows(table, told) -%}
    {%- set model_id = model_of(table) %}
(
    select
        counted.model,
        counted.row_count,
        counted.total_count,
        told.detail,
        told.named,
        case told.nth{% for one in told %} when {{ loop.index }} then counted.affected_{{ loop.index }}{% endfor %} end as affected,
        case told.nth{% for one in told %} when {{ loop.index }} then counted.example_{{ loop.index }}{% endfor %} end as example
    from (
        select
            {{ model_id }} as model,
            count(*) as row_count,
            {%- for one in told %}
            count(case when {{ one.condition }} then 1 end) as affected_{{ loop.index }},
            cast(min(case when {{ one.condition }} then {{ one.example }} end) as {{ dbt.type_string() }}) as example_{{ loop.index }},
            {%- endfor %}
            sum(count(*)) over () as total_count
        from {{ ref('chk_' ~ table) }}
        where reject_reason is null
        {{ 'group by ' ~ model_id if model_id != "'(all)'" }}
    ) as counted
    cross join (
        values
        {%- for one in told %}
        ({{ loop.index }}, '{{ one.detail }}', '{{ one.named }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as told (nth, detail, named)
) as found
{%- endmacro %}

{# Keys that stand for two things: their copies differ in a column that says what the row is about. #}
{% macro reused_keys_check(table) -%}
    {%- set stop, least = threshold('reused_keys', 'stop'), threshold('reused_keys', 'least') -%}
    {%- set rules = contract(table) -%}
    {%- for column, severity in (rules.identity or {}).items() %}
    {%- set reused = 'count(case when ' ~ column ~ '_reuse > 0 then 1 end)' %}
    {%- set together = 'count(case when ' ~ column ~ '_reuse > 1 then 1 end)' %}
    {%- set stops = '(' ~ reused ~ ' > ' ~ stop ~ ' * count(*) and ' ~ reused ~ ' >= ' ~ least ~ ') or ' ~ together ~ ' >= ' ~ least ~ ' or 2 * ' ~ together ~ ' > count(*)' %}
    {%- set key = rules.key | join(', ') %}
    {%- set fix = ('Its copies differ in ' ~ column ~ '. If they are two things, give' if severity == 'warn' else 'Give') ~ ' each its own ' ~ key ~ ' by a mapping in vars.yml' ~ (", such as model_id || ''-'' || prediction_id, in every table that names it." if column == 'model_id' and key == 'prediction_id' else '.') %}
select
    {{ check_row(table, 'reused_keys', reused, 'count(*)', reused ~ ' > 0', stops if severity == 'stop' else 'false',
        'min(case when ' ~ column ~ '_reuse > 0 then ' ~ row_key(rules) ~ ' end)',
        "'" ~ fix ~ "'", detail="'" ~ column ~ "'") }}
from {{ ref('chk_' ~ table) }}
where reject_reason is null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Moments long before the one the marts speak of, or events after their own arrival: most often a wrong unit, form or zone of time. #}
{% macro event_times_check(table) -%}
    {%- set event_at = contract(table).event_at -%}
    {%- set years = threshold('event_times', 'years') -%}
    {%- set told = [] -%}
    {%- for column in contract(table).columns if column.type == 'timestamp' -%}
        {%- do told.append({
            'detail': column.name ~ ' over ' ~ years ~ ' years before as_of',
            'named': column.name,
            'example': column.name,
            'condition': column.name ~ ' < ' ~ dbt.dateadd('year', -years, as_of()),
        }) -%}
    {%- endfor -%}
    {%- for column in contract(table).columns if column.type == 'timestamp' and column.name not in ['loaded_at', 'eligible_to'] -%}
        {%- do told.append({
            'detail': column.name ~ ' over a year after as_of',
            'named': column.name,
            'example': column.name,
            'condition': column.name ~ ' > ' ~ dbt.dateadd('year', 1, as_of()) ~ ' and ' ~ column.name ~ " < cast('2199-12-31' as timestamp)",
        }) -%}
    {%- endfor -%}
    {%- do told.append({
        'detail': event_at ~ ' over a day after its arrival',
        'named': event_at,
        'example': event_at,
        'condition': event_at ~ ' > ' ~ dbt.dateadd('day', 1, 'loaded_at'),
    }) if table in ['prediction_logs', 'usage_events', 'business_outcomes', 'feedback'] %}
select
    {{ check_row(table, 'event_times', 'affected', 'row_count', 'affected > ' ~ threshold('event_times', 'warn') ~ ' * row_count', 'false',
        'example', "'Is the unit of time right, and the zone UTC? Map ' || named || ' in vars.yml.'", model_id='model', detail='detail') }}
from {{ told_of_rows(table, told) }}
{%- endmacro %}

{# Exposures dated without a time of day: their window begins at midnight, before whatever was done that day. #}
{% macro days_alone_check() -%}
    {%- set affected = 'count(case when first_exposed_by > first_exposed_at then 1 end)' %}
select
    {{ check_row('experiment_assignments', 'days_alone', affected, 'count(*)', affected ~ ' > 0', 'false',
        'cast(min(case when first_exposed_by > first_exposed_at then first_exposed_at end) as ' ~ dbt.type_string() ~ ')',
        "'Deliver first_exposed_at with its time of day.'", detail="'first_exposed_at'") }}
from {{ ref('chk_experiment_assignments') }}
where reject_reason is null
{%- endmacro %}

{# The text columns of a raw table whose values are names that repeat, not ids and not prose. #}
{% macro governed_texts(table) %}
    {% set names = [] %}
    {% for column in contract(table).columns
        if column.type == 'string' and not column.name.endswith('_id') and not column.one_of and not column.is_prose %}
        {% do names.append(column.name) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Names that differ in case alone are most often one name. #}
{% macro spellings_check(table) -%}
    {%- set names = governed_texts(table) -%}
    {%- if names %}
select
    {{ check_row(table, 'spellings', 'sum(row_count) - max(row_count)', 'max(total_count)', 'true', 'false',
        "'''' || max(name) || ''' and ''' || min(name) || ''''", "'Map ' || told || ' to one spelling in vars.yml.'",
        detail="told || ' ' || spelling") }}
from (
    select
        told,
        name,
        lower(name) as spelling,
        row_count,
        sum(row_count) over (partition by told) as total_count
    from (
        {%- for name in names %}
        select '{{ name }}' as told, {{ name }} as name, count(*) as row_count
        from {{ ref('chk_' ~ table) }}
        where reject_reason is null and {{ name }} is not null
        group by {{ name }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ) as counted
) as named
group by told, spelling
having count(*) > 1
    {%- endif %}
{%- endmacro %}

{# Ids that stand in the same column in another writing: with capitals, or as a number with `.0`. #}
{% macro ids_check(table) -%}
    {%- set ids = [] -%}
    {%- for column in contract(table).columns if column.name in ['user_id', 'entity_id', 'unit_id', 'cluster_id', 'list_id'] -%}
        {%- do ids.append(column.name) -%}
    {%- endfor -%}
    {%- for name in ids %}
select
    {{ check_row(table, 'id_writings', 'count(*)', 'count(*)', 'count(*) > 0', 'false',
        "min('''' || odd.id || ''' and ''' || plain.id || '''')", "'Map " ~ name ~ " to one writing in vars.yml.'",
        detail="'" ~ name ~ "'") }}
from (
    select distinct {{ name }} as id, {{ plain_id(name) }} as plain_id
    from {{ ref('chk_' ~ table) }}
    where reject_reason is null and {{ name }} <> {{ plain_id(name) }}
) as odd
inner join (
    select distinct {{ name }} as id from {{ ref('chk_' ~ table) }} where reject_reason is null
) as plain on odd.plain_id = plain.id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# An id without what programs add to it: capitals, the `.0` of a number. #}
{% macro plain_id(id) -%}
    lower(case when {{ id }} like '%.0' then replace({{ id }} || '|', '.0|', '') else {{ id }} end)
{%- endmacro %}

{# Words for nothing in texts: NA is a region and None a class, so they stand, but are named. #}
{% macro words_check(table) -%}
    {%- set told = [] -%}
    {%- for name in governed_texts(table) -%}
        {%- do told.append({'detail': name, 'example': name, 'condition': is_word_for_nothing(name)}) -%}
    {%- endfor -%}
    {%- if told %}
select
    {{ check_row(table, 'words_for_nothing', 'sum(affected)', 'max(total_count)', 'sum(affected) > 0', 'false',
        'min(example)', "'If it means that the value is missing, map it: nullif(' || detail || ', ''...'').'", detail='detail') }}
from {{ told_of_rows(table, told) }}
group by detail
    {%- endif %}
{%- endmacro %}

{# Only decisions of environment prod count: others are named where they are all of a model, or spelled like production. #}
{% macro environment_check() -%}
    {%- set elsewhere = "count(case when environment <> 'prod' then 1 end)" -%}
    {%- set spelled = "count(case when environment <> 'prod' and lower(environment) in ('prod', 'production', 'prd', 'live') then 1 end)" %}
select
    {{ check_row('prediction_logs', 'environment', elsewhere, 'count(*)', spelled ~ ' > 0 or ' ~ elsewhere ~ ' = count(*)', elsewhere ~ ' = count(*) and count(*) >= ' ~ threshold('classes', 'least'),
        "min(case when environment <> 'prod' then environment end)", "'Only prod counts: map environment in vars.yml.'",
        model_id="model_id", detail="'environment'") }}
from {{ ref('chk_prediction_logs') }}
where reject_reason is null
group by model_id
{%- endmacro %}

{# What a label says, however it is spelled. #}
{% macro spelled(label) -%}
    case
        when lower(trim({{ label }})) in ('true', 't', 'yes', 'y', '1') then 'true'
        when lower(trim({{ label }})) in ('false', 'f', 'no', 'n', '0') then 'false'
        else lower(trim({{ label }}))
    end
{%- endmacro %}

{# Labels of a model with a positive one: spelled like it, more than two of them, or never it. #}
{% macro outcome_classes_check() -%}
    {%- set spellings = "count(case when label <> positive_label and spelled = positive_spelled then 1 end)" -%}
    {%- set seen = "sum(case when label = positive_label then label_count else 0 end)" -%}
    {%- set affected = "sum(case when label <> positive_label and spelled = positive_spelled then label_count else 0 end)" %}
select
    {{ check_row('business_outcomes', 'classes', affected, 'sum(label_count)',
        spellings ~ " > 0 or (max(task) = 'binary' and count(*) > 2) or (" ~ seen ~ ' = 0 and sum(label_count) >= ' ~ threshold('classes', 'least') ~ ')',
        seen ~ ' = 0 and ' ~ spellings ~ ' > 0',
        'min(case when label <> positive_label and spelled = positive_spelled then label else null end)',
        "'Labels seen: ' || " ~ ordered_list("label || ' (' || cast(label_count as " ~ dbt.type_string() ~ ") || ')'", ', ', ['label']) ~ " || '. Map outcome_label, or correct positive_label ' || max(positive_label) || ' in model_registry.csv.'",
        model_id='model_id', detail='max(label_outcome)') }}
from (
    select
        models.model_id,
        models.label_outcome,
        models.task,
        models.positive_label,
        {{ spelled('models.positive_label') }} as positive_spelled,
        outcomes.outcome_label as label,
        {{ spelled('outcomes.outcome_label') }} as spelled,
        count(*) as label_count
    from {{ ref('chk_business_outcomes') }} as outcomes
    inner join (
        select model_id, label_outcome, task, {{ normal_label('trim(positive_label)') }} as positive_label
        from {{ ref('model_registry') }}
    ) as models on outcomes.outcome_name = models.label_outcome
    where
        outcomes.reject_reason is null
        and outcomes.outcome_label is not null
        and models.positive_label is not null
    group by 1, 2, 3, 4, 5, 6, 7
) as labels
group by model_id
{%- endmacro %}

{# Units of a variant that the plan of their experiment does not name take no part in it. #}
{% macro variants_check() -%}
select
    {{ check_row('experiment_assignments', 'variants', 'count(*)', 'max(total.unit_count)', 'true', 'false', "min('\"' || assignments.variant || '\"')",
        "'Declare the variant in expected_split of experiments.csv, or map variant in vars.yml.'",
        detail="assignments.experiment_id || ' ' || assignments.variant") }}
from {{ ref('chk_experiment_assignments') }} as assignments
inner join {{ ref('experiments') }} as experiments on assignments.experiment_id = experiments.experiment_id
inner join (
    select experiment_id, count(*) as unit_count
    from {{ ref('chk_experiment_assignments') }}
    where reject_reason is null
    group by experiment_id
) as total on assignments.experiment_id = total.experiment_id
where
    assignments.reject_reason is null
    and replace({{ tight_split('experiments.expected_split') }}, ';' || assignments.variant || ':', '') = {{ tight_split('experiments.expected_split') }}
group by assignments.experiment_id, assignments.variant
{%- endmacro %}

{# The split of an experiment with a `;` before each part and no blanks around its signs. #}
{% macro tight_split(split) -%}
    replace(replace(replace(replace(';' || trim({{ split }}), '; ', ';'), ' ;', ';'), ': ', ':'), ' :', ':')
{%- endmacro %}

{# What the checks that ask other raw tables say of one: whether what its keys name is there. #}
{% macro met_checks(table) -%}
    {%- set queries = [] -%}
    {%- if table in ['usage_events', 'feedback'] -%}
        {%- do queries.append(keys_met_check(table, 'prediction_id', 'prediction_id is not null', model_of(table), "'prediction_id'")) -%}
    {%- elif table == 'business_outcomes' -%}
        {%- do queries.append(keys_met_check(table, 'prediction_id', 'prediction_id is not null', 'outcome_name', "outcome_name || ' by prediction_id'")) -%}
        {%- do queries.append(keys_met_check(table, 'entity_id', 'prediction_id is null and entity_id is not null', 'outcome_name', "outcome_name || ' by entity_id'")) -%}
        {%- do queries.append(keys_met_check(table, 'user_id', 'prediction_id is null and entity_id is null and user_id is not null', 'outcome_name', "outcome_name || ' by user_id'")) -%}
    {%- elif table == 'experiment_assignments' -%}
        {%- do queries.append(arms_met_check()) -%}
        {%- do queries.append(variants_check()) -%}
    {%- endif -%}
    {{ queries | map('trim') | join('\nunion all\n') }}
{%- endmacro %}

{# Different keys of the last 28 days of arrival that meet a decision, against those before. Logs may be sampled, so fewer are expected.
   None meeting stops where there are enough of them, or where the first is there in another writing. #}
{% macro keys_met_check(table, key, condition, grouped_by, detail) -%}
    {%- set warn, drop, least = threshold('keys_met', 'warn'), threshold('keys_met', 'drop'), threshold('keys_met', 'least') -%}
    {%- set text = dbt.type_string() -%}
    {%- set lives = "counted.grouped_by in (select label_outcome from " ~ ref('model_registry') ~ " where label_outcome is not null union select amount_outcome from " ~ ref('model_registry') ~ " where amount_outcome is not null)" if table == 'business_outcomes' else 'true' -%}
    {%- set share = 'cast(counted.recent_met as ' ~ type_double() ~ ') / nullif(counted.recent_count, 0)' -%}
    {%- set share_before = 'cast(counted.earlier_met as ' ~ type_double() ~ ') / nullif(counted.earlier_count, 0)' %}
(
with carried as (

    select
        {{ grouped_by }} as grouped_by,
        {{ detail }} as detail,
        {{ key }} as key_value,
        max(loaded_at) as loaded_at
    from {{ ref('chk_' ~ table) }}
    where reject_reason is null and {{ condition }}
    group by 1, 2, 3

),

span as (

    select {{ dbt.dateadd('day', -28, 'max(loaded_at)') }} as recent_from from carried

),

decisions as (

    select distinct {{ key }} as key_value from {{ ref('chk_prediction_logs') }} where reject_reason is null

),

logged as (

    select
        avg(coalesce(sampling_fraction, 1)) as sampled_share,
        min({{ key }}) as example
    from {{ ref('chk_prediction_logs') }}
    where reject_reason is null

),

counted as (

    select
        carried.grouped_by,
        carried.detail,
        count(case when carried.loaded_at > span.recent_from then 1 end) as recent_count,
        count(case when carried.loaded_at > span.recent_from then decisions.key_value end) as recent_met,
        count(case when carried.loaded_at <= span.recent_from then 1 end) as earlier_count,
        count(case when carried.loaded_at <= span.recent_from then decisions.key_value end) as earlier_met,
        min(case when carried.loaded_at > span.recent_from and decisions.key_value is null then carried.key_value end) as unmet
    from carried
    cross join span
    left join decisions on carried.key_value = decisions.key_value
    group by carried.grouped_by, carried.detail

),

numbers as (

    {% for number in range(1, 5) %}select {{ number }} as number{{ ' union all ' if not loop.last }}{% endfor %}

),

writings as (

    select
        counted.grouped_by,
        counted.detail,
        case numbers.number
            when 1 then lower(counted.unmet)
            when 2 then upper(counted.unmet)
            when 3 then counted.unmet || '.0'
            else replace(counted.unmet || '|', '.0|', '')
        end as writing
    from counted
    cross join numbers

),

near as (

    select
        writings.grouped_by,
        writings.detail,
        min(decisions.key_value) as key_value
    from writings
    inner join decisions on writings.writing = decisions.key_value
    group by writings.grouped_by, writings.detail

)

select
    {{ check_row(table, 'keys_met', 'counted.recent_met', 'counted.recent_count',
        share ~ ' < ' ~ warn ~ ' * logged.sampled_share or ' ~ share ~ ' < ' ~ share_before ~ ' - ' ~ drop,
        'counted.recent_met = 0 and ((counted.recent_count >= ' ~ least ~ ' and ' ~ lives ~ ') or near.key_value is not null)',
        "'''' || counted.unmet || ''' against ''' || coalesce(near.key_value, logged.example, '') || ''' of prediction_logs'",
        "case when near.key_value is not null then 'It is written in two ways: map " ~ key ~ " to one in vars.yml.' when " ~ matches('counted.unmet', '^[0-9][.][0-9]+[eE][+]?[0-9]+$') ~ " then 'The id came as a floating point number and lost digits: deliver it as text.' else 'Deliver what it names, or map " ~ key ~ " in vars.yml.' end",
        model_id="counted.grouped_by" if table != 'business_outcomes' else "'(all)'", detail='counted.detail') }}
from counted
cross join logged
left join near on counted.grouped_by = near.grouped_by and counted.detail = near.detail
)
{%- endmacro %}

{# Units of each arm of an experiment that are met in any fact: an arm far below the other was linked by another key. #}
{% macro arms_met_check() -%}
    {%- set warn, stop, least = threshold('arms_met', 'warn'), threshold('arms_met', 'stop'), threshold('arms_met', 'least') -%}
    {%- set sources = [] -%}
    {%- for table in ['prediction_logs', 'usage_events', 'business_outcomes', 'feedback', 'eligible_users'] -%}
        {%- for column in contract(table).columns if column.name in ['user_id', 'entity_id', 'prediction_id'] -%}
            {%- do sources.append("select '" ~ column.name[:-3] ~ "' as unit_type, " ~ column.name ~ " as unit_id from " ~ ref('chk_' ~ table) ~ " where reject_reason is null and " ~ column.name ~ " in (select unit_id from units)") -%}
        {%- endfor -%}
    {%- endfor %}
(
with units as (

    select
        assignments.experiment_id,
        assignments.variant,
        experiments.unit_type,
        assignments.unit_id
    from {{ ref('chk_experiment_assignments') }} as assignments
    inner join {{ ref('experiments') }} as experiments on assignments.experiment_id = experiments.experiment_id
    where assignments.reject_reason is null

),

met as (

    {{ sources | join('\n    union\n    ') }}

),

arms as (

    select
        units.experiment_id,
        units.variant,
        count(*) as unit_count,
        count(met.unit_id) as met_count,
        cast(count(met.unit_id) as {{ type_double() }}) / count(*) as met_share,
        min(case when met.unit_id is null then units.unit_id end) as unmet
    from units
    left join met on units.unit_type = met.unit_type and units.unit_id = met.unit_id
    group by units.experiment_id, units.variant

),

ranked as (

    select
        arms.*,
        max(case when unit_count >= {{ least }} then met_share end) over (partition by experiment_id) as highest_share,
        row_number() over (partition by experiment_id order by case when unit_count >= {{ least }} then 1 else 2 end, met_share, variant) as share_rank
    from arms

)

select
    {{ check_row('experiment_assignments', 'arms_met', 'met_count', 'unit_count',
        'unit_count >= ' ~ least ~ ' and met_share <= ' ~ warn ~ ' * highest_share',
        'met_share = 0 and unit_count >= ' ~ least ~ ' and (highest_share >= ' ~ stop ~ ' or highest_share = 0)',
        "'''' || unmet || ''' of ''' || variant || ''''", "'Map unit_id in vars.yml to the ids that the facts carry.'",
        detail="experiment_id || ' ' || variant") }}
from ranked
where share_rank = 1
)
{%- endmacro %}

{# What is counted of a raw table, whether it is well or not. #}
{% macro counts_check(table) -%}
    {%- set unread = unread_files(table) %}
    {%- set counts = {'delivered_rows': 'delivered_count', 'kept_rows': 'kept_count', 'superseded_copies': 'superseded_count', 'invisible_rows': 'delivered_count - kept_count - superseded_count - rejected_count'} %}
    {%- set cases %}case told.name{% for name, expression in counts.items() %} when '{{ name }}' then {{ expression }}{% endfor %} end{% endset %}
select
    {{ check_row(table, 'told.name', cases, 'delivered_count', 'false', 'false', 'null', 'told.fix') }}
from (
    select
        (select max(row_count) from {{ ref('int_delivered_rows') }} where table_name = '{{ table }}') as delivered_count,
        count(case when reject_reason is null then 1 end) as kept_count,
        coalesce(sum(case when reject_reason is null then copy_count - 1 end), 0) as superseded_count,
        count(reject_reason) as rejected_count
    from {{ ref('chk_' ~ table) }}
) as counted
cross join (
    values
    {%- for name in counts %}
    ('{{ name }}', '{{ 'They arrived after as_of.' if name == 'invisible_rows' }}'){{ ',' if not loop.last }}
    {%- endfor %}
) as told (name, fix)
union all
select {{ check_row(table, 'unread_files', unread | length, unread | length, (unread | length > 0) | lower, 'false',
    text_literal(unread[0]) if unread else 'null', "'Deliver them as Parquet or CSV, or move them out of the folder.'") }}
{%- endmacro %}

{# Checks with their status. A check of the setting tolerated_checks, `check` or `table.check`, does not stop and does not warn. #}
{% macro judged_checks(checks) -%}
    {%- set tolerated = "('" ~ (setting('tolerated_checks') or []) | join("', '") ~ "')" -%}
    {%- set text = dbt.type_string() %}
select
    table_name,
    model_id,
    check_name,
    detail,
    affected_count,
    checked_count,
    cast({{ safe_ratio('affected_count', 'checked_count') }} as {{ type_double() }}) as affected_share,
    {%- for name in ['warn', 'stop'] %}
    case check_name
        {%- for check in default_thresholds() if name in default_thresholds()[check] %}
        when '{{ check }}' then cast({{ threshold(check, name) }} as {{ type_double() }})
        {%- endfor %}
    end as {{ name }}_threshold,
    {%- endfor %}
    case
        when (warns or stops) and (check_name in {{ tolerated }} or table_name || '.' || check_name in {{ tolerated }}) then 'tolerated'
        when stops then 'stop'
        when warns then 'warn'
        else 'ok'
    end as status,
    example,
    fix
from (
{{ checks }}
) as checks
where affected_count > 0 or warns or stops or detail = ''
{%- endmacro %}

{# One line per raw table at the end of a run that looked at them: what came in, what was kept, and what is wrong. #}
{% macro say_input_health() %}
    {% if execute and flags.WHICH in ['run', 'build'] and not without_rows() and 'model.' ~ package_name() ~ '.fct_input_checks' in selected_resources %}
        {% set node = graph.nodes['model.' ~ package_name() ~ '.fct_input_checks'] %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% set rows = rows_of("select table_name, check_name, detail, model_id, affected_count, checked_count, status, example, fix from " ~ relation ~ " order by table_name, check_name, affected_count desc, detail") if relation else [] %}
        {% for table in setting('inputs') %}
            {% set counts = {} %}
            {% set said = [] %}
            {% set reasons = [] %}
            {% for row in rows if row[0] == table %}
                {% do counts.update({row[1]: row[4]}) if row[2] == '' %}
                {% do reasons.append(row[2]) if row[1] == 'rejected_rows' and row[2] %}
                {% if row[6] in ['warn', 'stop'] %}
                    {% do said.append(row[6] ~ ' ' ~ row[1] ~ (' of ' ~ row[3] if row[3] not in ['(all)', '(none)'] else '') ~ (', ' ~ row[2] if row[2] else '') ~ ': ' ~ '{:,}'.format(row[4] | int) ~ ' of ' ~ '{:,}'.format(row[5] | int) ~ (', e.g. ' ~ row[7] if row[7] else '') ~ '. ' ~ row[8]) %}
                {% endif %}
            {% endfor %}
            {% if counts %}
                {{ log('input ' ~ table ~ ' ' ~ '{:,}'.format(counts.get('delivered_rows', 0) | int) ~ ' delivered, ' ~ '{:,}'.format(counts.get('kept_rows', 0) | int) ~ ' kept' ~ (', ' ~ '{:,}'.format(counts.get('rejected_rows', 0) | int) ~ ' rejected (' ~ reasons[0] ~ (' and other reasons' if reasons | length > 1 else '') ~ ')' if reasons else '') ~ (', ' ~ '{:,}'.format(counts.get('invisible_rows') | int) ~ ' not yet visible at as_of' if counts.get('invisible_rows') else ''), info=true) }}
                {% for line in said %}
                    {{ log('input   ' ~ line, info=true) }}
                {% endfor %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
