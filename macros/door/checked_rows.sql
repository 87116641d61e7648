{# The rows of a raw table as the door leaves them: of each key the latest copy that keeps the contract, and each copy that breaks it,
   as delivered. #}
{% macro checked_rows(table) %}
    {%- do declare_inputs(table) -%}
    {%- if not execute %}{{ return('select 1 as placeholder') }}{% endif -%}
    {%- set columns = checked_columns(table) -%}
    {%- set goes_on = is_incremental() and only_brings_rows(table) -%}
    {%- if not is_delivered(table) %}
select
    {%- for name, type in columns.items() %}
    cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
    {%- else %}
    {%- set rules = contract(table) %}
with {{ checked_ctes(table, rows='new' if goes_on else 'touched' if is_incremental() else 'all') }},

{% if goes_on -%}
copies as (

    select {{ copy_columns(table) }} from checked where reject_reason is null
    union all
    select
        {{ columns | reject('in', ['nulled_cells', 'reject_reason', 'raw_row']) | join(', ') }},
        nulled_cells,
        cast(null as {{ dbt.type_string() }}) as delivery
    from {{ this }}
    where reject_reason is null and {{ is_touched_staged_row(table) }}

),

passed as (

    select {{ passed_columns(table) }} from checked where reject_reason is not null

),
{%- else -%}
redelivered as (

    select {{ rules.key | join(', ') }}
    from asked
    group by {{ rules.key | join(', ') }}
    having count(*) > 1

),

-- only keys that were delivered again are ranked, which are few
copies as (

    select {{ copy_columns(table) }}
    from checked
    inner join redelivered
        on {% for part in rules.key %}checked.{{ part }} = redelivered.{{ part }}{{ ' and ' if not loop.last }}{% endfor %}
    where checked.reject_reason is null

),

passed as (

    select {{ passed_columns(table) }}
    from checked
    left join redelivered
        on {% for part in rules.key %}checked.{{ part }} = redelivered.{{ part }}{{ ' and ' if not loop.last }}{% endfor %}
    where checked.reject_reason is not null or redelivered.{{ rules.key[0] }} is null

),
{%- endif %}

{{ latest_copy_ctes(table) }}

select * from passed
union all
select * from latest_copies
    {%- endif %}
{% endmacro %}

{# The columns of a checked relation, name -> type: those of the contract, and what the door found out about the row. #}
{% macro checked_columns(table) %}
    {% set rules = contract(table) %}
    {% set columns = {} %}
    {% for column in rules.columns %}
        {% do columns.update({column.name: contract_type(column.type)}) %}
        {% do columns.update({column.latest: 'timestamp'}) if column.latest %}
    {% endfor %}
    {% for column in rules.columns if column.name in (rules.identity or {}) %}
        {% do columns.update({column.name ~ '_reuse': contract_type('integer')}) %}
        {% do columns.update({'known_' ~ column.name: dbt.type_string()}) if not column.required %}
    {% endfor %}
    {% do columns.update({'copy_count': contract_type('integer')}) %}
    {% for name in ['nulled_cells', 'reject_reason', 'raw_row'] %}
        {% do columns.update({name: dbt.type_string()}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{# Rows of a raw table with the contract's columns in their types, and what of them cannot be read. `keep_raw` adds all
   delivered columns. #}
{% macro typed_select(table, delivered_rows, keep_raw=false) %}
    {%- set delivered = raw_columns(table) -%}
    {%- set parse_errors = [] %}
    {%- set unread_cells = [] %}
    select
        {%- for column in contract(table).columns %}
        {%- set expression = delivered_expression(table, column, delivered) %}
        {%- set is_mapped = column.name in (setting('mapping') or {}).get(table, {}) %}
        {%- set delivered_type = '' if is_mapped else delivered.get(column.name | lower, '') %}
        {%- if expression is none %}
        cast(null as {{ contract_type(column.type) }}) as {{ column.name }},
        {%- if column.latest %}
        cast(null as timestamp) as {{ column.latest }},
        {%- endif %}
        {%- else %}
        {%- set typed = typed_value(column, expression, delivered_type) %}
        {{ typed }} as {{ column.name }},
        {%- set text = safe_cast_to('string', expression, delivered_type) %}
        {%- if column.latest %}
        {{ typed if delivered_type.upper().startswith('TIMESTAMP') else latest_moment(typed, text) }} as {{ column.latest }},
        {%- endif %}
        {%- if safe_cast_to(column.type, expression, delivered_type) != expression and column.type != 'string' %}
        {%- set words = column.name ~ ' is not ' ~ in_words(column.type) %}
        {%- set condition = typed ~ ' is null and ' ~ without_words_for_nothing(text) ~ ' is not null' %}
        {%- if column.on_bad == 'null' %}
        {%- do unread_cells.append({'condition': condition, 'words': words, 'value': text}) %}
        {%- else %}
        {%- do parse_errors.append("when " ~ condition ~ " then '" ~ words ~ "'") %}
        {%- endif %}
        {%- endif %}
        {%- endif %}
        {%- endfor %}
        {%- for name in delivered if keep_raw %}
        delivered.{{ quoted(name) }} as {{ quoted('raw ' ~ name) }},
        {%- endfor %}
        {{ 'delivered._delivery' if keep_raw and delivers_files(table) else "cast(null as " ~ dbt.type_string() ~ ")" }} as delivery,
        {{ noted_cells(unread_cells) }} as unread_cells,
        {% if parse_errors -%}
        case
            {{ parse_errors | join('\n            ') }}
        end
        {%- else -%}
        cast(null as {{ dbt.type_string() }})
        {%- endif %} as parse_error
    from {{ delivered_rows }} as delivered
{%- endmacro %}

{# CTEs `typed` to `checked`: contract columns in their types, bad cells of optional columns set to NULL, and why a row breaks the
   contract. `rows` says which: all that are delivered, the new ones, or every copy of those touched. #}
{% macro checked_ctes(table, rows='all') -%}
    {%- set rules = contract(table) -%}
    {%- set names = rules.columns | map(attribute='name') | list -%}
    {%- set bad_cells = [] -%}
typed as {{ not_materialized() }} (

    {{ typed_select(table, new_rows(table) if rows == 'new' else delivered_rows(table, with_delivery=true), keep_raw=true) }}

),

asked as {{ not_materialized() }} (

    select * from typed
    {%- if rows == 'touched' %}
    where {{ is_touched_row(table, row_key(rules)) }}
    {%- endif %}

),

cleaned as {{ not_materialized() }} (

    select
        {%- for column in rules.columns %}
        {%- set value = 'asked.' ~ column.name %}
        {%- set faults = value_faults(column, value) if column.on_bad == 'null' else [] %}
        {%- for fault in faults %}
        {%- do bad_cells.append(dict(fault, value=number_text(value) if column.type == 'double' else 'cast(' ~ value ~ ' as ' ~ dbt.type_string() ~ ')')) %}
        {%- endfor %}
        {%- if faults %}
        case when not ({{ faults | map(attribute='condition') | join(' or ') }}) then {{ value }} end as {{ column.name }},
        {%- elif column.open_end %}
        case when {{ value }} < cast('2200-01-01' as timestamp) then {{ value }} when {{ value }} is not null then {{ open_end(column) }} end as {{ column.name }},
        {%- else %}
        {{ value }},
        {%- endif %}
        {%- if column.latest and faults %}
        case when not ({{ faults | map(attribute='condition') | join(' or ') }}) then asked.{{ column.latest }} end as {{ column.latest }},
        {%- elif column.latest %}
        asked.{{ column.latest }},
        {%- endif %}
        {%- endfor %}
        {%- for name in raw_columns(table) %}
        asked.{{ quoted('raw ' ~ name) }},
        {%- endfor %}
        asked.delivery,
        asked.parse_error,
        {%- if bad_cells %}
        nullif(coalesce(asked.unread_cells, '') || coalesce({{ noted_cells(bad_cells) }}, ''), '') as nulled_cells
        {%- else %}
        asked.unread_cells as nulled_cells
        {%- endif %}
    from asked

),

registry as (

    select * from {{ ref('cfg_model_registry') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),
{% if 'currency' in names and rules.ends_at %}
-- the day from which on a currency has no rate, until one begins
rate_ends as (

    select
        rates.currency,
        rates.valid_to
    from rates
    left join rates as others
        on rates.currency = others.currency
        and {{ valid_at('others', 'rates.valid_to') }}
    where rates.valid_to is not null and others.currency is null

),

unbroken_rates as (

    select
        rates.currency,
        rates.rate,
        rates.valid_from,
        rates.valid_to,
        min(rate_ends.valid_to) as unbroken_to
    from rates
    left join rate_ends
        on rates.currency = rate_ends.currency
        and rates.valid_from < rate_ends.valid_to
    group by rates.currency, rates.rate, rates.valid_from, rates.valid_to

),
{% endif %}
checked as {{ not_materialized() }} (

    select
        cleaned.*,
        {{ reject_reason(rules) }} as reject_reason
    from cleaned
    {%- if 'model_id' in names %}
    left join registry on cleaned.model_id = registry.model_id
    {%- endif %}
    {%- if 'currency' in names %}
    left join {{ 'unbroken_rates as rates' if rules.ends_at else 'rates' }}
        on cleaned.currency = rates.currency
        and {{ valid_at('rates', 'cleaned.' ~ rules.event_at) }}
    {%- endif %}
    where cleaned.loaded_at is null or cleaned.loaded_at <= {{ as_of() }}

)
{%- endmacro %}

{# The first rule of the contract that a typed row breaks, in words; NULL where it breaks none. #}
{% macro reject_reason(rules) -%}
        case
            when cleaned.parse_error is not null then cleaned.parse_error
            {%- for column in rules.columns %}
            {%- set value = 'cleaned.' ~ column.name %}
            {%- if column.required %}
            when {{ value }} is null then '{{ column.name }} is missing'
            {%- endif %}
            {%- for fault in value_faults(column, value) if column.on_bad != 'null' %}
            when {{ fault.condition }} then '{{ fault.words }}'
            {%- endfor %}
            {%- if column.known_model %}
            when registry.model_id is null then 'model_id is not in model_registry'
            {%- endif %}
            {%- if column.amount %}
            when {{ value }} <> '{{ setting("reporting_currency") }}' and rates.rate is null
                and cleaned.{{ column.amount }} is not null and cleaned.{{ rules.event_at }} is not null
                then 'currency has no rate in exchange_rates on that day'
            {%- if rules.ends_at %}
            when {{ value }} <> '{{ setting("reporting_currency") }}' and rates.unbroken_to < cleaned.{{ rules.ends_at }}
                then 'currency has no rate in exchange_rates on ' || cast(cast(rates.unbroken_to as date) as {{ dbt.type_string() }})
            {%- endif %}
            {%- endif %}
            {%- endfor %}
            {%- for check in rules.checks or [] %}
            when {{ check.fails_when }} then '{{ check.reason }}'
            {%- endfor %}
        end
{%- endmacro %}

{# The columns of a row that goes on as it came: rejected, or the only one of its key. #}
{% macro passed_columns(table) -%}
    {%- set raw = {} -%}
    {%- for name in raw_columns(table) -%}{%- do raw.update({name: 'checked.' ~ quoted('raw ' ~ name)}) -%}{%- endfor -%}
    {%- for name, type in checked_columns(table).items() %}
        {%- if name == 'raw_row' %}
        case when checked.reject_reason is not null then {{ json_row(raw) }} end as raw_row
        {%- else %}
        {{ fresh_column(name, type) }},
        {%- endif %}
    {%- endfor %}
{%- endmacro %}

{# A column of a checked relation for a row that was just delivered. #}
{% macro fresh_column(name, type) -%}
    {%- if name == 'copy_count' -%}
        cast(1 as {{ type }}) as copy_count
    {%- elif name.endswith('_reuse') -%}
        cast(0 as {{ type }}) as {{ name }}
    {%- elif name.startswith('known_') -%}
        cast(null as {{ type }}) as {{ name }}
    {%- else -%}
        checked.{{ name }}
    {%- endif -%}
{%- endmacro %}
