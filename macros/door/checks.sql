{#  What the door found out about a delivery. Each check is a query with the columns of check_row(): one row per raw table,
    model and detail. `stops` are tests on stg_<table>, all of them are fct_input_checks. #}

{# `least` is a count, `years` are years, all others are shares. The setting input_thresholds overrides any of them. #}
{% macro default_thresholds() %}
    {{ return({
        'rejected_rows': {'warn': 0.01, 'stop': 0.5, 'least': 20},
        'nulled_cells': {'warn': 0.01},
        'reused_keys': {'stop': 0.005, 'least': 20},
        'keys_met': {'warn': 0.8, 'drop': 0.2, 'least': 20},
        'arms_met': {'warn': 0.5, 'stop': 0.5, 'least': 50},
        'classes': {'least': 20},
        'event_times': {'warn': 0.01, 'years': 10},
        'days_alone': {'warn': 0.01},
    }) }}
{% endmacro %}

{% macro threshold(check, name) %}
    {{ return((setting('input_thresholds') or {}).get(check, {}).get(name, default_thresholds()[check][name])) }}
{% endmacro %}

{# The checks of a raw table that read no other raw table. #}
{% macro own_checks(table) -%}
    {%- set queries = [rejected_rows_check(table), nulled_cells_check(table), reused_keys_check(table), event_times_check(table), words_check(table), spellings_check(table), ids_check(table)] -%}
    {%- do queries.append(environment_check()) if table == 'prediction_logs' -%}
    {%- do queries.append(classes_check(table)) if table in ['prediction_logs', 'business_outcomes'] -%}
    {%- do queries.append(ended_costs_check()) if table == 'serving_costs' -%}
    {%- do queries.append(ended_outcomes_check()) if table == 'business_outcomes' -%}
    {%- do queries.append(days_alone_check(table)) if 'experiment_assignments' in setting('inputs') -%}
    {{ queries | map('trim') | select | join('\nunion all\n') }}
{%- endmacro %}

{# The checks of a raw table that read others too: whether what its keys name is there. #}
{% macro met_checks(table) -%}
    {%- set queries = [] -%}
    {%- if table in ['usage_events', 'feedback'] -%}
        {%- do queries.append(keys_met_check(table, 'prediction_id', 'prediction_id is not null', model_of(table), "'prediction_id'")) -%}
    {%- elif table == 'business_outcomes' -%}
        {%- do queries.append(keys_met_check(table, 'prediction_id', 'prediction_id is not null', 'outcome_name', "outcome_name || ' by prediction_id'")) -%}
        {%- do queries.append(keys_met_check(table, 'entity_id', 'prediction_id is null and entity_id is not null', 'outcome_name', "outcome_name || ' by entity_id'")) -%}
        {%- do queries.append(keys_met_check(table, 'user_id', 'prediction_id is null and entity_id is null and user_id is not null', 'outcome_name', "outcome_name || ' by user_id'")) -%}
    {%- elif table == 'eligible_users' -%}
        {%- do queries.append(writings_met_check(table)) -%}
        {%- do queries.append(users_met_check()) if is_delivered('usage_events') -%}
    {%- elif table == 'experiment_assignments' -%}
        {%- do queries.append(arms_met_check()) -%}
        {%- do queries.append(writings_met_check(table)) -%}
        {%- do queries.append(variants_check()) -%}
    {%- endif -%}
    {{ queries | map('trim') | join('\nunion all\n') }}
{%- endmacro %}

{# The checks of a raw table that only warn. They may read any seed and table; what stops may not, because dbt lets a failed test hold
    back only models that are made of all that the test reads. #}
{% macro warning_checks(table) -%}
    {%- if table == 'business_outcomes' -%}
        {{ yes_or_no_check() }}
        union all
        {{ outcomes_check() }}
    {%- elif table in ['model_releases', 'serving_costs'] -%}
        {{ versions_check(table) }}
    {%- elif table == 'kpi_annotations' -%}
        {{ scopes_check() }}
    {%- elif table == 'alert_actions' -%}
        {{ alerts_met_check() }}
    {%- endif -%}
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
    {{ where_it_is_mended("cast(" ~ fix ~ " as " ~ text ~ ")") }} as fix
{%- endmacro %}

{# SQL of a fix that names the files of a workspace; in a host those are the file of its project and its governed tables. #}
{% macro where_it_is_mended(fix) %}
    {{- return("replace(replace(" ~ fix ~ ", 'vars.yml', 'dbt_project.yml'), '.csv', '')" if is_installed() else fix) -}}
{% endmacro %}

{# The model that a row of a checked relation names. #}
{% macro model_of(table) %}
    {% set has_model = 'model_id' in contract(table).columns | map(attribute='name') %}
    {{ return("coalesce(model_id, '(none)')" if has_model else "'(all)'") }}
{% endmacro %}

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

{# Checks with their status. One that the setting tolerated_checks names, as `check` or `table.check`, neither warns nor stops. #}
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
where affected_count > 0 or warns or stops or detail = '' or detail like '% before'
{%- endmacro %}

{# Query of the checks of a raw table that stop; `checks` is the macro that writes their queries. None where the table is not delivered. #}
{% macro stopping_checks(model, table, checks) -%}
    {%- do ref('chk_' ~ table) -%}
    {%- do ref('cfg_model_registry') -%}
    {%- if execute and is_delivered(table) %}
select * from ({{ judged_checks(checks(table)) }}) as judged
where status = 'stop'
    {%- else %}
select * from {{ model }} where 1 = 0
    {%- endif %}
{%- endmacro %}
