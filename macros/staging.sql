{# The contract of a raw table, read from models/staging/_sources.yml: key, event_at, checks and columns. #}
{% macro contract(table) %}
    {% set source_node = graph.sources['source.' ~ package_name() ~ '.raw.' ~ table] %}
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

{# Whether a raw table is read at all: it is an input, and it is there. #}
{% macro is_delivered(table) %}
    {{ return(table in setting('inputs') and raw_columns(table) is not none) }}
{% endmacro %}

{# A delivered value in the type of its contract column, NULL where it cannot be read. Ids and numbers that are a word for nothing are
   missing; labels come in their normal form. #}
{% macro typed_value(column, expression, delivered_type) %}
    {%- set typed = safe_cast_to(column.type, expression, delivered_type) -%}
    {%- if column.type == 'double' -%}
        nullif({{ typed }}, cast('NaN' as {{ type_double() }}))
    {%- elif column.name.endswith('_id') -%}
        {{ without_words_for_nothing(typed) }}
    {%- elif column.is_label -%}
        {{ normal_label(typed) }}
    {%- else -%}
        {{ typed }}
    {%- endif -%}
{% endmacro %}

{# What programs write where there is no value, in lower case. #}
{% macro words_for_nothing() %}
    {{ return(['nan', 'none', 'nat', 'null', 'nil', 'na', 'n/a', '#n/a', '<na>', '\\n']) }}
{% endmacro %}

{# Whether a text is a word for nothing; most texts are too long for one, which spares them the look. #}
{% macro is_word_for_nothing(text) -%}
    (length({{ text }}) < 5 and lower({{ text }}) in (
        {%- for word in words_for_nothing() %}{{ text_literal(word) }}{{ ', ' if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{% macro without_words_for_nothing(text) -%}
    case when not {{ is_word_for_nothing(text) }} then {{ text }} end
{%- endmacro %}

{# One form for labels that mean the same: truth values without case, whole numbers without `.0`. Texts are trimmed before. #}
{% macro normal_label(text) -%}
    case
        when lower({{ text }}) in ('true', 'false', 'yes', 'no') then lower({{ text }})
        when {{ matches(text, '^-?[0-9]+[.]0+$') }} then split_part({{ text }}, '.', 1)
        else {{ text }}
    end
{%- endmacro %}

{# Rows of a raw table with the contract's columns in their types, and what of them cannot be read. On request with all that
   was delivered. #}
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

{# The last moment at which something can have happened: the end of the day where no time of day was delivered. #}
{% macro latest_moment(moment, text) -%}
    case when {{ text }} not like '%:%' then {{ latest_of_day(moment) }} else {{ moment }} end
{%- endmacro %}

{# The end of the day of a moment, by which anything of that day has happened. #}
{% macro latest_of_day(moment) -%}
    cast({{ dbt.dateadd('microsecond', '-1', dbt.dateadd('day', '1', 'cast(' ~ moment ~ ' as date)')) }} as timestamp)
{%- endmacro %}

{# One line of text per cell that is set to NULL, `<column> <what is wrong>: <value>`; NULL where no cell is. #}
{% macro noted_cells(cells) -%}
    {%- if not cells -%}
    cast(null as {{ dbt.type_string() }})
    {%- else -%}
    case when {{ cells | map(attribute='condition') | join('\n            or ') }}
        then
            {%- for cell in cells %}
            case when {{ cell.condition }}
                then '{{ cell.words }}: ' || replace(replace(substr({{ cell.value }}, 1, 60), chr(13), ' '), chr(10), ' ') || chr(10) else '' end
            {{- ' ||' if not loop.last }}
            {%- endfor %}
    end
    {%- endif -%}
{%- endmacro %}

{# What can be wrong with a value that is of its type: conditions on it, each with its words. #}
{% macro value_faults(column, value) %}
    {% set faults = [] %}
    {% if column.type == 'double' %}
        {% do faults.append({'condition': 'abs(' ~ value ~ ') > 1.7e308', 'words': column.name ~ ' is not a finite number'}) %}
    {% elif column.type == 'timestamp' %}
        {% set bounds = [value ~ " < cast('1900-01-01' as timestamp)"] %}
        {% do bounds.append(value ~ " >= cast('2200-01-01' as timestamp)") if not column.open_end %}
        {% do faults.append({'condition': bounds | join(' or '), 'words': column.name ~ ' is outside the years 1900 to 2199'}) %}
    {% endif %}
    {% if column.one_of %}
        {% do faults.append({'condition': value ~ " not in ('" ~ column.one_of | join("', '") ~ "')", 'words': column.name ~ ' is not one of ' ~ column.one_of | join(', ')}) %}
    {% endif %}
    {% if column.at_least is defined %}
        {% do faults.append({'condition': value ~ ' < ' ~ column.at_least, 'words': column.name ~ ' is below ' ~ column.at_least}) %}
    {% endif %}
    {% if column.above is defined %}
        {% do faults.append({'condition': value ~ ' <= ' ~ column.above, 'words': column.name ~ ' is not above ' ~ column.above}) %}
    {% endif %}
    {% if column.at_most is defined %}
        {% do faults.append({'condition': value ~ ' > ' ~ column.at_most, 'words': column.name ~ ' is above ' ~ column.at_most}) %}
    {% endif %}
    {{ return(faults) }}
{% endmacro %}

{# What an end that never comes is: missing, or the last moment there is where a missing end means another. #}
{% macro open_end(column) -%}
    {{ 'cast(null as timestamp)' if column.open_end == 'missing' else "cast('2199-12-31' as timestamp)" }}
{%- endmacro %}

{# CTEs `typed` to `checked`: contract columns in their types, bad cells of optional columns set to NULL, and why a row breaks the
   contract. Of all rows delivered, of the new ones, or of every copy of those touched. #}
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

    select * from {{ ref('model_registry') }}

),

rates as (

    select * from {{ ref('exchange_rates') }}

),

checked as {{ not_materialized() }} (

    select
        cleaned.*,
        {{ reject_reason(rules) }} as reject_reason
    from cleaned
    {%- if 'model_id' in names %}
    left join registry on cleaned.model_id = registry.model_id
    {%- endif %}
    {%- if 'currency' in names %}
    left join rates
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
            {%- endif %}
            {%- endfor %}
            {%- for check in rules.checks or [] %}
            when {{ check.fails_when }} then '{{ check.reason }}'
            {%- endfor %}
        end
{%- endmacro %}

{# What a checked relation reads, declared where dbt looks for it: before anything is executed. #}
{% macro declare_inputs(table) %}
    {% do ref('model_registry') %}
    {% do ref('exchange_rates') %}
    {% do source('raw', table) %}
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

{# The rows of a raw table as the door leaves them: the latest copy of each that keeps the contract, and each that breaks it, as
   delivered. #}
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

{# The columns of a row as one of several copies. #}
{% macro copy_columns(table) -%}
    {%- set rules = contract(table) -%}
    {%- for name, type in checked_columns(table).items() if name not in ['nulled_cells', 'reject_reason', 'raw_row'] %}
        {{ fresh_column(name, type) }},
    {%- endfor %}
        checked.nulled_cells,
        checked.delivery
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

{# CTE `latest_copies`: of all copies of a key the latest, how many there were, and in which columns that say what the row is about
   they differ: 1 over time, 2 within one delivery. Where the contract names an earliest moment, its columns come from that copy. #}
{% macro latest_copy_ctes(table) -%}
    {%- set rules = contract(table) -%}
    {%- set columns = checked_columns(table) -%}
    {%- set key = rules.key | join(', ') -%}
    {%- set identity = rules.columns | selectattr('name', 'in', (rules.identity or {}).keys() | list) | list -%}
    {%- set earliest = rules.earliest or {'columns': []} -%}
    {%- set later_first = ['loaded_at desc'] -%}
    {%- for column in rules.columns if column.name not in rules.key + ['loaded_at'] -%}
        {%- do later_first.append(column.name ~ ' desc nulls last') -%}
    {%- endfor -%}
compared as (

    select
        copies.*,
        {%- for column in identity %}
        {%- set value = column.name if column.required else 'coalesce(known_' ~ column.name ~ ', ' ~ column.name ~ ')' %}
        case
            when min({{ column.name }}) over (partition by {{ key }}, loaded_at, delivery) <> max({{ column.name }}) over (partition by {{ key }}, loaded_at, delivery) then 2
            when min({{ value }}) over (partition by {{ key }}) <> max({{ value }}) over (partition by {{ key }}) then 1
            else {{ column.name }}_reuse
        end as {{ column.name }}_differs,
        {%- endfor %}
        {%- if earliest.by %}
        row_number() over (
            partition by {{ key }}
            order by {{ earliest.by }} nulls last, case when {{ earliest.by }} is not null then {{ rules.event_at }} end nulls last, {{ later_first | join(', ') }}
        ) as earliest_rank,
        {%- endif %}
        row_number() over (partition by {{ key }} order by {{ later_first | join(', ') }}) as copy_rank
    from copies

),

combined as (

    select
        {%- for name, type in columns.items() if name not in ['reject_reason', 'raw_row'] %}
        {%- if name in earliest.columns %}
        max(case when earliest_rank = 1 then {{ name }} end) over (partition by {{ key }}) as {{ name }},
        {%- elif name == 'copy_count' %}
        cast(sum(copy_count) over (partition by {{ key }}) as {{ type }}) as copy_count,
        {%- elif name.endswith('_reuse') %}
        {%- set column = name[:-6] %}
        cast(max(case when {{ name }} > {{ column }}_differs then {{ name }} else {{ column }}_differs end) over (partition by {{ key }}) as {{ type }}) as {{ name }},
        {%- elif name.startswith('known_') %}
        {%- set column = name[6:] %}
        {#- of the only copy none is known, whether it came to a build with others or alone #}
        case when sum(copy_count) over (partition by {{ key }}) > 1
            then max(coalesce({{ name }}, {{ column }})) over (partition by {{ key }}) end as {{ name }},
        {%- else %}
        {{ name }},
        {%- endif %}
        {%- endfor %}
        copy_rank
    from compared

),

latest_copies as (

    select
        {%- for name, type in columns.items() %}
        {{ name if name not in ['reject_reason', 'raw_row'] else 'cast(null as ' ~ type ~ ') as ' ~ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from combined
    where copy_rank = 1

)
{%- endmacro %}

{# Rows of a raw table that keep the contract, the latest copy of each. #}
{% macro staged(table) -%}
with checked as (

    select * from {{ ref('chk_' ~ table) }}

),

kept as (

    select
        {%- if not execute %}
        *
        {%- else %}
        {%- for column in contract(table).columns %}
        {{ column.name }}{{ ',' if column.latest or not loop.last }}
        {%- if column.latest %}
        {{ column.latest }}{{ ',' if not loop.last }}
        {%- endif %}
        {%- endfor %}
        {%- endif %}
    from checked
    where reject_reason is null

)

select * from kept
{%- endmacro %}

{# The rows that the door looked at, in the columns that all raw tables share. #}
{% macro arrivals(table) -%}
    {%- do ref('chk_' ~ table) -%}
    {%- do ref('model_registry') -%}
    {%- set text = dbt.type_string() -%}
    {%- set rules = contract(table) if execute else {'columns': [], 'key': []} -%}
    {%- set has_model = 'model_id' in rules.columns | map(attribute='name') %}
select
    cast('{{ table }}' as {{ text }}) as table_name,
    nullif({{ row_key(rules) if execute else "''" }}, '') as row_key,
    {{ 'registry.known_model_id' if has_model else 'cast(null as ' ~ text ~ ')' }} as model_id,
    checked.loaded_at,
    checked.copy_count,
    checked.nulled_cells,
    checked.reject_reason as reason,
    checked.raw_row
from {{ ref('chk_' ~ table) }} as checked
    {%- if has_model %}
left join (select model_id as known_model_id from {{ ref('model_registry') }}) as registry
    on checked.model_id = registry.known_model_id
    {%- endif %}
{%- endmacro %}

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
