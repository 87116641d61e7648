{# Rows of a raw table that were delivered, kept, superseded or are not yet visible, and the files that nothing reads. #}
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

{# Rows that break the contract: all of a table, and by the model they name and reason. #}
{% macro rejected_rows_check(table) -%}
    {%- set warn, stop, least = threshold('rejected_rows', 'warn'), threshold('rejected_rows', 'stop'), threshold('rejected_rows', 'least') -%}
    {%- set fix = "'Correct them, or map them in vars.yml. See stg_rejected_rows.'" -%}
    {%- set rejected = 'count(reject_reason)' %}
    {%- set has_model = model_of(table) != "'(all)'" %}
select
    {{ check_row(table, 'rejected_rows', rejected, 'count(*)',
        rejected ~ ' > ' ~ warn ~ ' * count(*) and ' ~ rejected ~ ' >= ' ~ least,
        rejected ~ ' > ' ~ stop ~ ' * count(*) and ' ~ rejected ~ ' >= ' ~ least,
        'max(reject_reason)', fix) }}
from {{ ref('chk_' ~ table) }}
union all
select
    {{ check_row(table, 'rejected_rows', 'row_count', 'model_count', 'false', 'false', 'example', fix, model_id='model', detail='reject_reason') }}
from (
    select
        {{ "coalesce(registry.known_model, '(none)')" if has_model else "'(all)'" }} as model,
        checked.reject_reason,
        min(case when checked.reject_reason is not null then nullif({{ row_key(contract(table)) }}, '') end) as example,
        count(*) as row_count,
        sum(count(*)) over ({{ 'partition by registry.known_model' if has_model }}) as model_count
    from {{ ref('chk_' ~ table) }} as checked
    {%- if has_model %}
    left join (select model_id as known_model from {{ ref('cfg_model_registry') }}) as registry
        on checked.model_id = registry.known_model
    {%- endif %}
    group by {{ 'registry.known_model, ' if has_model }}checked.reject_reason
) as counted
where reject_reason is not null
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

{# Types of cost that no longer arrive, so that numbers are no longer kept waiting for them. #}
{% macro ended_costs_check() %}
select
    {{ check_row('serving_costs', 'ended_costs', '1', '1', 'true', 'false', 'cast(max(period_end) as ' ~ dbt.type_string() ~ ')',
        "'No number waits for it any more. If it only stopped arriving, deliver it.'", model_id='model_id', detail='cost_type') }}
from {{ ref('chk_serving_costs') }}
where reject_reason is null and cost_type not in {{ one_off_costs() }}
group by model_id, cost_type
having {{ has_ended('max(period_end)', 'avg(' ~ dbt.datediff('period_start', 'period_end', 'day') ~ ')') }}
{%- endmacro %}

{# Names of outcomes that no longer become known, so that numbers are no longer kept waiting for them. #}
{% macro ended_outcomes_check() %}
select
    {{ check_row('business_outcomes', 'ended_outcomes', '1', '1', 'true', 'false', 'cast(last_known_at as ' ~ dbt.type_string() ~ ')',
        "'No number waits for it any more. If it only stopped arriving, deliver it.'", detail='outcome_name') }}
from (
    select
        outcome_name,
        {{ outcome_rhythm() }}
    from {{ ref('chk_business_outcomes') }}
    where reject_reason is null and greatest(occurred_at, observed_at) <= {{ as_of() }}
    group by outcome_name
) as names
where has_rhythm and {{ outcome_has_ended() }}
{%- endmacro %}

{# Exposures dated without a time of day, whose window begins at midnight, before whatever was done that day; and events at midnight
   sharp, since an experiment compares them with exposures. #}
{% macro days_alone_check(table) -%}
    {%- set column = 'first_exposed_at' if table == 'experiment_assignments' else contract(table).event_at -%}
    {%- set condition = 'first_exposed_by > first_exposed_at' if table == 'experiment_assignments' else column ~ ' = cast(cast(' ~ column ~ ' as date) as timestamp)' -%}
    {%- set affected = 'count(case when ' ~ condition ~ ' then 1 end)' %}
    {%- if table in ['prediction_logs', 'usage_events', 'feedback', 'experiment_assignments'] %}
select
    {{ check_row(table, 'days_alone', affected, 'count(*)', affected ~ ' > ' ~ threshold('days_alone', 'warn') ~ ' * count(*)', 'false',
        'cast(min(case when ' ~ condition ~ ' then ' ~ column ~ ' end) as ' ~ dbt.type_string() ~ ')',
        "'Deliver " ~ column ~ " with its time of day.'", detail="'" ~ column ~ "'") }}
from {{ ref('chk_' ~ table) }}
where reject_reason is null
    {%- endif %}
{%- endmacro %}
