{# The contract of a raw table, read from models/staging/_sources.yml: key, event_at, checks and columns. #}
{% macro contract(table) %}
    {% set source_node = graph.sources['source.' ~ project_name ~ '.raw.' ~ table] %}
    {% set columns = [] %}
    {% for column in source_node.columns.values() %}
        {% do columns.append(dict(column.config.meta, name=column.name, type=column.data_type)) %}
    {% endfor %}
    {% if table == 'prediction_logs' %}
        {% for name, type in setting_columns().items() if name not in source_node.columns %}
            {% do columns.append({'name': name, 'type': type}) %}
        {% endfor %}
    {% endif %}
    {{ return(dict(source_node.config.meta, columns=columns)) }}
{% endmacro %}

{# The delivered expression of a contract column: mapped, named alike, or none where it is absent. #}
{% macro delivered_expression(table, column, delivered) %}
    {% set mapped = (setting('mapping') or {}).get(table, {}).get(column.name) %}
    {% if mapped %}
        {{ return('(' ~ mapped ~ ')') }}
    {% endif %}
    {{ return('delivered.' ~ adapter.quote(column.name) if column.name | lower in delivered else none) }}
{% endmacro %}

{# Rows of a raw table with the contract's columns in their types, on request with all that was delivered. #}
{% macro typed_select(table, delivered_rows, keep_raw=false) %}
    {%- set delivered = raw_columns(table) -%}
    {%- set parse_errors = [] %}
    select
        {%- for column in contract(table).columns %}
        {%- set expression = delivered_expression(table, column, delivered) %}
        {%- set delivered_type = '' if (setting('mapping') or {}).get(table, {}).get(column.name) else delivered.get(column.name | lower, '') %}
        {%- if expression is none %}
        cast(null as {{ contract_type(column.type) }}) as {{ column.name }},
        {%- else %}
        {%- set typed = safe_cast_to(column.type, expression, delivered_type) %}
        {{ typed }} as {{ column.name }},
        {%- if typed != expression and column.type != 'string' %}
        {%- set present = safe_cast_to('string', expression, delivered_type) %}
        {%- do parse_errors.append("when " ~ typed ~ " is null and " ~ present ~ " is not null then '" ~ column.name ~ " is not " ~ in_words(column.type) ~ "'") %}
        {%- endif %}
        {%- endif %}
        {%- endfor %}
        {%- for name in delivered if keep_raw %}
        delivered.{{ quoted(name) }} as {{ quoted('raw ' ~ name) }},
        {%- endfor %}
        {% if parse_errors -%}
        case
            {{ parse_errors | join('\n            ') }}
        end
        {%- else -%}
        cast(null as {{ dbt.type_string() }})
        {%- endif %} as parse_error
    from {{ delivered_rows }} as delivered
{%- endmacro %}

{# CTEs `typed` and `checked`: contract columns in their types, and why a row breaks the contract. Of all rows delivered, of
   the new ones, or of every copy of those touched. #}
{% macro checked_ctes(table, rows='all', keep_raw=false) %}
    {%- set rules = contract(table) -%}
    {%- set names = rules.columns | map(attribute='name') | list -%}
typed as {{ not_materialized() }} (

    {%- if rows == 'new' %}
    {{ typed_select(table, new_rows(table), keep_raw=keep_raw) }}
    {%- else %}
    {{ typed_select(table, delivered_rows(table), keep_raw=keep_raw) }}
    {%- endif %}

),

asked as {{ not_materialized() }} (

    select * from typed
    {%- if rows == 'touched' %}
    where {{ is_touched_row(table, row_key(rules)) }}
    {%- endif %}

),

registry as (

    select * from {{ ref('model_registry') }}

),

rates as (

    select * from {{ ref('exchange_rates') }}

),

checked as {{ not_materialized() }} (

    select
        asked.*,
        {%- if 'model_id' in names %}
        registry.model_id as known_model_id,
        {%- endif %}
        {{ reject_reason(rules) }} as reject_reason
    from asked
    {%- if 'model_id' in names %}
    left join registry on asked.model_id = registry.model_id
    {%- endif %}
    {%- if 'currency' in names %}
    left join rates
        on asked.currency = rates.currency
        and {{ valid_at('rates', 'asked.' ~ rules.event_at) }}
    {%- endif %}
    where asked.loaded_at is null or asked.loaded_at <= {{ as_of() }}

)
{%- endmacro %}

{# The first rule of the contract that a typed row breaks, in words; NULL where it breaks none. #}
{% macro reject_reason(rules) -%}
        case
            when asked.parse_error is not null then asked.parse_error
            {%- for column in rules.columns %}
            {%- set value = 'asked.' ~ column.name %}
            {%- if column.required %}
            when {{ value }} is null then '{{ column.name }} is missing'
            {%- endif %}
            {%- if column.type == 'double' %}
            when abs({{ value }}) > 1.7e308 then '{{ column.name }} is not a finite number'
            {%- elif column.type == 'timestamp' %}
            when {{ value }} < cast('1900-01-01' as timestamp) or {{ value }} >= cast('2200-01-01' as timestamp)
                then '{{ column.name }} is outside the years 1900 to 2199'
            {%- endif %}
            {%- if column.one_of %}
            when {{ value }} not in ('{{ column.one_of | join("', '") }}') then '{{ column.name }} is not one of {{ column.one_of | join(", ") }}'
            {%- endif %}
            {%- if column.at_least is defined %}
            when {{ value }} < {{ column.at_least }} then '{{ column.name }} is below {{ column.at_least }}'
            {%- endif %}
            {%- if column.above is defined %}
            when {{ value }} <= {{ column.above }} then '{{ column.name }} is not above {{ column.above }}'
            {%- endif %}
            {%- if column.at_most is defined %}
            when {{ value }} > {{ column.at_most }} then '{{ column.name }} is above {{ column.at_most }}'
            {%- endif %}
            {%- if column.known_model %}
            when registry.model_id is null then 'model_id is not in model_registry'
            {%- endif %}
            {%- if column.amount %}
            when {{ value }} <> '{{ setting("reporting_currency") }}' and rates.rate is null
                and asked.{{ column.amount }} is not null and asked.{{ rules.event_at }} is not null
                then 'currency has no rate in exchange_rates on that day'
            {%- endif %}
            {%- endfor %}
            {%- for check in rules.checks or [] %}
            when {{ check.fails_when }} then '{{ check.reason }}'
            {%- endfor %}
        end
{%- endmacro %}

{# What the CTEs above read, declared where dbt looks for it: before anything is executed. #}
{% macro declare_inputs(table) %}
    {% do ref('model_registry') %}
    {% do ref('exchange_rates') %}
    {% do ref('int_deliveries') %}
    {% do ref('int_touched_rows') %}
    {% do source('raw', table) %}
{% endmacro %}

{# Rows of a raw table that keep the contract, the latest copy of each. #}
{% macro staged(table) %}
    {%- do declare_inputs(table) -%}
    {%- if not execute %}{{ return('select 1 as placeholder') }}{% endif -%}
    {%- set rules = contract(table) -%}
    {%- set names = rules.columns | map(attribute='name') | list -%}
    {%- set later_first = ['loaded_at desc'] -%}
    {%- for name in names if name not in rules.key + ['loaded_at'] -%}
        {%- do later_first.append(name ~ ' desc nulls last') -%}
    {%- endfor -%}
    {%- if table not in setting('inputs') or raw_columns(table) is none %}
select
    {%- for column in rules.columns %}
    cast(null as {{ contract_type(column.type) }}) as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
    {%- elif is_incremental() and is_forward() %}
with {{ checked_ctes(table, rows='new') }},

copies as (

    select {{ names | join(', ') }} from checked where reject_reason is null
    union all
    select {{ names | join(', ') }} from {{ this }} where {{ is_touched_staged_row(table) }}

),

ranked as (

    select
        *,
        row_number() over (partition by {{ rules.key | join(', ') }} order by {{ later_first | join(', ') }}) as copy_rank
    from copies

)

select {{ names | join(', ') }} from ranked
where copy_rank = 1
    {%- else %}
with {{ checked_ctes(table, rows='touched' if is_incremental() else 'all') }},

redelivered as (

    select {{ rules.key | join(', ') }}
    from asked
    group by {{ rules.key | join(', ') }}
    having count(*) > 1

),

delivered_once as (

    select checked.*
    from checked
    left join redelivered
        on {% for part in rules.key %}checked.{{ part }} = redelivered.{{ part }}{{ ' and ' if not loop.last }}{% endfor %}
    where checked.reject_reason is null and redelivered.{{ rules.key[0] }} is null

),

delivered_again as (

    select
        checked.*,
        row_number() over (
            partition by {% for part in rules.key %}checked.{{ part }}{{ ', ' if not loop.last }}{% endfor %}
            order by {% for order in later_first %}checked.{{ order }}{{ ', ' if not loop.last }}{% endfor %}
        ) as copy_rank
    from checked
    inner join redelivered
        on {% for part in rules.key %}checked.{{ part }} = redelivered.{{ part }}{{ ' and ' if not loop.last }}{% endfor %}
    where checked.reject_reason is null

)

select {{ names | join(', ') }} from delivered_once
union all
select {{ names | join(', ') }} from delivered_again
where copy_rank = 1
    {%- endif %}
{% endmacro %}

{# Rows of a raw table that break the contract, as delivered. #}
{% macro rejected(table) %}
    {%- do declare_inputs(table) -%}
    {%- if not execute or table not in setting('inputs') or raw_columns(table) is none -%}
select
    cast(null as {{ dbt.type_string() }}) as table_name,
    cast(null as {{ dbt.type_string() }}) as row_key,
    cast(null as {{ dbt.type_string() }}) as model_id,
    cast(null as {{ dbt.type_string() }}) as reason,
    cast(null as {{ dbt.type_string() }}) as raw_row,
    cast(null as timestamp) as loaded_at
where 1 = 0
    {%- else -%}
    {%- set raw = {} -%}
    {%- for name in raw_columns(table) -%}{%- do raw.update({name: quoted('raw ' ~ name)}) -%}{%- endfor -%}
    {%- set has_model = 'model_id' in contract(table).columns | map(attribute='name') -%}
(
with {{ checked_ctes(table, rows=('new' if only_brings_rows(table) else 'touched') if is_incremental() else 'all', keep_raw=true) }}

select
    cast('{{ table }}' as {{ dbt.type_string() }}) as table_name,
    nullif({{ row_key(contract(table)) }}, '') as row_key,
    {{ 'known_model_id' if has_model else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as model_id,
    reject_reason as reason,
    {{ json_row(raw) }} as raw_row,
    loaded_at
from checked
where reject_reason is not null
)
    {%- endif %}
{% endmacro %}

{# The key of a raw table as one text, its parts joined; empty where none was delivered. #}
{% macro row_key(rules) -%}
    {%- for part in rules.key -%}
        coalesce(cast({{ part }} as {{ dbt.type_string() }}), ''){{ " || ' | ' || " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# The same over staged rows, where no part is missing: a bare column, which a warehouse looks up faster. #}
{% macro staged_key(rules) -%}
    {{ rules.key[0] if rules.key | length == 1 else row_key(rules) }}
{%- endmacro %}

{% macro contract_type(type) %}
    {{ return({'string': dbt.type_string(), 'integer': 'bigint', 'double': type_double()}.get(type, type)) }}
{% endmacro %}

{% macro in_words(type) %}
    {{ return({'integer': 'a whole number', 'double': 'a number', 'timestamp': 'a timestamp', 'boolean': 'true or false'}[type]) }}
{% endmacro %}

{# A row of a governed table with valid_from (inclusive) and valid_to (exclusive, open where NULL) holds at `moment`. #}
{% macro valid_at(relation, moment) -%}
    {{ moment }} >= {{ relation }}.valid_from and ({{ relation }}.valid_to is null or {{ moment }} < {{ relation }}.valid_to)
{%- endmacro %}
