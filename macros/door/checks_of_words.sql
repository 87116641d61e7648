{# The text columns of a raw table whose values are names that repeat, not ids and not prose. #}
{% macro governed_texts(table) %}
    {% set names = [] %}
    {% for column in contract(table).columns
        if column.type == 'string' and not column.name.endswith('_id') and not column.one_of and not column.is_prose %}
        {% do names.append(column.name) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

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

{# Names that another place has in another writing alone, so that what they stand for never meets. `known` is a query of its names. #}
{% macro written_otherwise_check(table, column, name, known, place) %}
select
    {{ check_row(table, 'spellings', 'count(*)', 'count(*)', 'count(*) > 0', 'false', 'min(example)',
        "'Map " ~ column ~ " in vars.yml to the spelling of " ~ place ~ ", or correct it there.'", detail="'" ~ column ~ " against " ~ place ~ "'") }}
from (
    select min('''' || named.name || ''' against ''' || known.name || ''' of {{ place }}') as example
    from (
        select distinct {{ name }} as name
        from {{ ref('chk_' ~ table) }}
        where reject_reason is null
    ) as named
    inner join (
        {{ known }}
    ) as known on {{ plain_id('named.name') }} = {{ plain_id('known.name') }}
    group by named.name
    having count(case when named.name = known.name then 1 end) = 0
) as unmet
{%- endmacro %}

{# Versions of releases or costs as decisions name them. #}
{% macro versions_check(table) -%}
    {%- set known = "select model_id || ' ' || model_version as name from (select distinct model_id, model_version from " ~ ref('chk_prediction_logs') ~ " where reject_reason is null) as versions" -%}
    {{ written_otherwise_check(table, 'model_version', "model_id || ' ' || model_version", known, 'prediction_logs') }}
{%- endmacro %}

{# Outcomes as models name those they live by. #}
{% macro outcomes_check() -%}
    {%- set known = 'select label_outcome as name from ' ~ ref('cfg_model_registry') ~ ' union select amount_outcome from ' ~ ref('cfg_model_registry') -%}
    {{ written_otherwise_check('business_outcomes', 'outcome_name', 'outcome_name', known, 'model_registry') }}
{%- endmacro %}

{# Scopes of annotations as the configuration names models and experiments. #}
{% macro scopes_check() -%}
    {%- set known = "select 'all' as name union all select model_id from " ~ ref('cfg_model_registry') ~ ' union all select experiment_id from ' ~ ref('cfg_experiments') -%}
    {{ written_otherwise_check('kpi_annotations', 'scope', 'scope', known, 'the configuration') }}
{%- endmacro %}

{# Ids that the same column also has in another writing. #}
{% macro ids_check(table) -%}
    {%- set ids = [] -%}
    {%- for column in contract(table).columns if column.name in ['user_id', 'entity_id', 'unit_id', 'cluster_id', 'list_id'] -%}
        {%- do ids.append(column.name) -%}
    {%- endfor -%}
    {%- for name in ids %}
select
    {{ check_row(table, 'id_writings', 'count(*)', 'count(*)', 'count(*) > 0', 'false',
        "min('''' || one || ''' and ''' || other || '''')", one_writing(name, 'one', 'other'), detail="'" ~ name ~ "'") }}
from (
    select
        max({{ name }}) as one,
        min({{ name }}) as other
    from {{ ref('chk_' ~ table) }}
    where reject_reason is null
    group by {{ plain_id(name) }}
    having min({{ name }}) <> max({{ name }})
) as written
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# An id without what programs make of it: capitals, the `.0` of a number, a unicode form. #}
{% macro plain_id(id) -%}
    lower({{ composed("case when " ~ id ~ " like '%.0' then replace(" ~ id ~ " || '|', '.0|', '') else " ~ id ~ " end") }})
{%- endmacro %}

{# How pairs of ids that differ in their writing come to one. #}
{% macro one_writing(name, one, other) -%}
    coalesce(min(case when {{ composed(one) }} <> {{ composed(other) }} then 'Map {{ name }} to one writing in vars.yml.' end), 'They differ in their unicode form alone: map {{ name }} to one (NFC) in vars.yml.')
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

{# Labels of a model with a positive one: spelled like it, more than two of them, or never it. Outcomes tell what happened, the log
   what was predicted; a ranking decides by its scores. #}
{% macro classes_check(table) -%}
    {%- set is_log = table == 'prediction_logs' -%}
    {%- set label = 'predicted_label' if is_log else 'outcome_label' -%}
    {%- set spellings = "count(case when label <> positive_label and spelled = positive_spelled then 1 end)" -%}
    {%- set seen = "sum(case when label = positive_label then label_count else 0 end)" -%}
    {%- set affected = "sum(case when label <> positive_label and spelled = positive_spelled then label_count else 0 end)" %}
select
    {{ check_row(table, 'classes', affected, 'sum(label_count)',
        spellings ~ " > 0 or (max(task) = 'binary' and count(*) > 2) or (" ~ seen ~ ' = 0 and sum(label_count) >= ' ~ threshold('classes', 'least') ~ ')',
        seen ~ ' = 0 and ' ~ spellings ~ ' > 0',
        'min(case when label <> positive_label and spelled = positive_spelled then label else null end)',
        "'Labels seen: ' || " ~ ordered_list("label || ' (' || cast(label_count as " ~ dbt.type_string() ~ ") || ')'", ', ', ['label']) ~ " || '. Map " ~ label ~ ", or correct positive_label ' || max(positive_label) || ' in model_registry.csv.'",
        model_id='model_id', detail="'predicted_label'" if is_log else 'max(label_outcome)') }}
from (
    select
        models.model_id,
        models.label_outcome,
        models.task,
        models.positive_label,
        {{ spelled('models.positive_label') }} as positive_spelled,
        delivered.{{ label }} as label,
        {{ spelled('delivered.' ~ label) }} as spelled,
        count(*) as label_count
    from {{ ref('chk_' ~ table) }} as delivered
    inner join (
        select model_id, label_outcome, task, {{ normal_label('trim(positive_label)') }} as positive_label
        from {{ ref('cfg_model_registry') }}
    ) as models on {{ "delivered.model_id = models.model_id and models.task <> 'ranking'" if is_log else 'delivered.outcome_name = models.label_outcome' }}
    where
        delivered.reject_reason is null
        and delivered.{{ label }} is not null
        and models.positive_label is not null
        {%- if is_log %}
        and (delivered.environment is null or delivered.environment = 'prod')
        {%- endif %}
    group by 1, 2, 3, 4, 5, 6, 7
) as labels
group by model_id
{%- endmacro %}

{# Labels of outcomes that answer with yes or no, which say neither: who left or renewed is then not counted. #}
{% macro yes_or_no_check() -%}
    {%- set is_other = "coalesce(lower(delivered.outcome_label), '') not in ('true', 'yes', '1', 'false', 'no', '0')" %}
select
    {{ check_row('business_outcomes', 'classes', 'count(case when ' ~ is_other ~ ' then 1 end)', 'count(*)', 'count(case when ' ~ is_other ~ ' then 1 end) > 0', 'false',
        'min(case when ' ~ is_other ~ " then coalesce(delivered.outcome_label, 'no label') end)",
        "'Map outcome_label of ' || delivered.outcome_name || ' to true and false in vars.yml, or give it another kind in outcome_kinds.csv.'",
        detail="delivered.outcome_name") }}
from {{ ref('chk_business_outcomes') }} as delivered
left join {{ ref('cfg_outcome_kinds') }} as kinds on delivered.outcome_name = kinds.outcome_name
where
    delivered.reject_reason is null
    and {{ outcome_kind('kinds.kind', 'delivered.outcome_name') }} in {{ yes_or_no_kinds() }}
group by delivered.outcome_name
{%- endmacro %}

{# What a label says, however it is spelled. #}
{% macro spelled(label) -%}
    case
        when lower(trim({{ label }})) in ('true', 't', 'yes', 'y', '1') then 'true'
        when lower(trim({{ label }})) in ('false', 'f', 'no', 'n', '0') then 'false'
        else lower(trim({{ label }}))
    end
{%- endmacro %}

{# Units of a variant that no plan names take no part in an experiment: the variant or the whole experiment is not declared. #}
{% macro variants_check() -%}
select
    {{ check_row('experiment_assignments', 'variants', 'count(*)', 'max(total.unit_count)', 'true', 'false', "min('\"' || assignments.variant || '\"')",
        "case when max(experiments.experiment_id) is null then 'Declare the experiment in experiments.csv, or map experiment_id in vars.yml.' else 'Declare the variant in expected_split of experiments.csv, or map variant in vars.yml.' end",
        detail="assignments.experiment_id || ' ' || assignments.variant") }}
from {{ ref('chk_experiment_assignments') }} as assignments
left join {{ ref('cfg_experiments') }} as experiments on assignments.experiment_id = experiments.experiment_id
inner join (
    select experiment_id, count(*) as unit_count
    from {{ ref('chk_experiment_assignments') }}
    where reject_reason is null
    group by experiment_id
) as total on assignments.experiment_id = total.experiment_id
where
    assignments.reject_reason is null
    and (
        experiments.experiment_id is null
        or replace({{ tight_split('experiments.expected_split') }}, ';' || assignments.variant || ':', '') = {{ tight_split('experiments.expected_split') }}
    )
group by assignments.experiment_id, assignments.variant
{%- endmacro %}

{# The split of an experiment with a `;` before each part and no blanks around its signs. #}
{% macro tight_split(split) -%}
    replace(replace(replace(replace(';' || trim({{ split }}), '; ', ';'), ' ;', ';'), ': ', ':'), ' :', ':')
{%- endmacro %}
