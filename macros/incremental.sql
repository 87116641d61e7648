{#  How a build recomputes only what its news can have changed.

    1. on-run-start notes that a run begins, with the fingerprint of each model it is about to alter (build_starts).
    2. int_deliveries finds what was delivered since the last finished build, int_touched_rows the rows this touches.
    3. int_touched_keys says which decisions and outcomes those rows, and labels matured since, can have changed,
       int_touched_dates which dates of each fact.
    4. A model of strategy `touched` deletes its touched rows or dates and inserts them anew.
    5. int_build_ledger, after all of them, remembers what this build saw.

    Nothing is forgotten before step 5: a build that died starts again from the same ledger. A model whose fingerprint is
    not the one in the ledger is rebuilt whole. #}

{# Whether a row of the model being built is to be computed: on a touched date, or any row where the whole is built. With a key,
   only the touched rows; their date is then a bare column of dates or moments, so that a scan can skip what lies outside. #}
{% macro touched(date_expression, key=none) -%}
    {%- if not execute -%}
        {%- do ref(touched_dates_of(model)) -%}
        {%- do ref(touched_keys_of(model)) if key -%}
    {%- endif -%}
    {%- if is_incremental() -%}
        {{ is_touched(date_expression, key) }}
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro %}

{% macro is_touched(date_expression, key, relation_name=this.identifier) -%}
    {%- if not key -%}
        {{ is_on_touched_date(date_expression, relation_name) }}
    {%- elif not replaces_rows() -%}
        {{ is_on_touched_date('cast(' ~ date_expression ~ ' as date)', relation_name) }}
    {%- else -%}
        {%- set keys = "from " ~ ref(touched_keys_of(model)) ~ " where relation_name = '" ~ relation_name ~ "'" -%}
        {%- set text = dbt.type_string() -%}
        {%- set span = rows_of("select cast(min(touched_date) as " ~ text ~ "), cast(max(touched_date) as " ~ text ~ ") " ~ keys)[0] -%}
        {%- if span[0] is none -%}
        1 = 0
        {%- else -%}
        {{ date_expression }} >= cast('{{ span[0] }}' as date)
        and {{ date_expression }} < cast({{ dbt.dateadd('day', 1, "cast('" ~ span[1] ~ "' as date)") }} as date)
        and {{ key }} in (select touched_key {{ keys }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# Before this moment no decision or outcome lies that is linked by entity or user to some rows that this build recomputes: the
   earliest of them less the longest horizon. A relation that is rebuilt whole reaches all. #}
{% macro reach_begins(relation_name, moment, condition) -%}
    {%- set begins = none -%}
    {%- if not execute -%}
        {%- do ref(relation_name) -%}
        {%- do ref('dim_models') -%}
    {%- elif model.resource_type == 'model' and (is_incremental() or model.config.materialized != 'incremental') and build_ledger() is not none -%}
        {%- set begins = rows_of("
            select cast(" ~ dbt.dateadd('day', '-max(models.horizon_days)', 'cast(min(reaching.' ~ moment ~ ') as timestamp)') ~ " as " ~ dbt.type_string() ~ ")
            from " ~ ref(relation_name) ~ " as reaching
            cross join " ~ ref('dim_models') ~ " as models
            where " ~ condition
        )[0][0] -%}
    {%- endif -%}
    cast('{{ begins or '1900-01-01' }}' as timestamp)
{%- endmacro %}

{# Before this moment no decision lies whose label matured since the last finished build. #}
{% macro maturing_begins() -%}
    {%- set begins = none -%}
    {%- if not execute -%}
        {%- do ref('dim_models') -%}
    {%- elif model.resource_type == 'model' and build_ledger() is not none -%}
        {%- set begins = rows_of("
            select cast(" ~ dbt.dateadd('day', '-max(horizon_days + label_delay_days)', as_of_span()[0]) ~ " as " ~ dbt.type_string() ~ ")
            from " ~ ref('dim_models')
        )[0][0] -%}
    {%- endif -%}
    cast('{{ begins or '1900-01-01' }}' as timestamp)
{%- endmacro %}

{% macro is_on_touched_date(date_expression, relation_name) -%}
    {{ date_expression }} in (select touched_date from {{ ref(touched_dates_of(model)) }} where relation_name = '{{ relation_name }}')
{%- endmacro %}

{# The model that says which dates of a model are touched. #}
{% macro touched_dates_of(model) %}
    {{ return(model.config.meta.get('touched_in', 'int_touched_dates')) }}
{% endmacro %}

{# The model that says which keys of a model are touched. #}
{% macro touched_keys_of(model) %}
    {{ return(model.config.meta.get('touched_in', 'int_touched_keys')) }}
{% endmacro %}

{% macro is_touched_row(table, row_key) -%}
    {{ row_key }} in (select row_key from {{ ref('int_touched_rows') }} where table_name = '{{ table }}')
{%- endmacro %}

{# Whether a staged row is touched. It is among the copies in int_touched_rows, so a scan can skip what lies outside their span. #}
{% macro is_touched_staged_row(table) -%}
    {%- set rules = contract(table) -%}
    {%- set text = dbt.type_string() -%}
    {%- set span = rows_of("
        select cast(min(event_at) as " ~ text ~ "), cast(max(event_at) as " ~ text ~ ")
        from " ~ ref('int_touched_rows') ~ "
        where table_name = '" ~ table ~ "'
            and event_at >= cast('1900-01-01' as timestamp) and event_at < cast('2200-01-01' as timestamp)
    ")[0] -%}
    {%- if span[0] is none -%}
    1 = 0
    {%- else -%}
    {{ rules.event_at }} >= cast('{{ span[0] }}' as timestamp) and {{ rules.event_at }} <= cast('{{ span[1] }}' as timestamp)
    and {{ is_touched_row(table, staged_key(rules)) }}
    {%- endif -%}
{%- endmacro %}

{# The rows that strategy `touched` replaces: meta.touched_by names their date column and meta.touched_key that of their key,
   else they have a key of a raw table. #}
{% macro touched_rows_of_target() -%}
    {%- set column = model.config.meta.get('touched_by') -%}
    {%- if column -%}
        {{ is_touched(column, model.config.meta.get('touched_key')) }}
    {%- elif model.name == 'stg_rejected_rows' -%}
        {%- set replaced = ['1 = 0'] -%}
        {%- for table in raw_tables() if not only_brings_rows(table) -%}
            {%- do replaced.append("(table_name = '" ~ table ~ "' and " ~ is_touched_row(table, "coalesce(row_key, '')") ~ ")") -%}
        {%- endfor -%}
        {{ replaced | join(' or ') }}
    {%- else -%}
        {{ is_touched_staged_row(model.name | replace('stg_', '')) }}
    {%- endif -%}
{%- endmacro %}

{% macro get_incremental_touched_sql(arg_dict) %}
    {{ return(adapter.dispatch('replace_touched')(arg_dict)) }}
{% endmacro %}

{# A unit test knows nothing of what was built before. #}
{% macro is_incremental() %}
    {{ return(may_look() and model.resource_type == 'model' and dbt.is_incremental()) }}
{% endmacro %}

{# True too where what stands was, or may have been, made in another way than it would be made now. The ledger is replaced by
   builds of the whole alone. #}
{% macro should_full_refresh() %}
    {% if model.name == 'int_build_ledger' %}
        {{ return(is_whole_build()) }}
    {% endif %}
    {% if model.config.get('incremental_strategy') != 'touched' or flags.FULL_REFRESH %}
        {{ return(dbt.should_full_refresh()) }}
    {% endif %}
    {% if build_ledger() is none or without_rows() %}
        {{ return(true) }}
    {% endif %}
    {% set counts = rows_of("
        select count(distinct fingerprint) as fingerprint_count, sum(is_finished) as finished_count
        from (
            select entry_value as fingerprint, 1 as is_finished
            from " ~ build_ledger() ~ "
            where entry_kind = 'fingerprint' and entry_name = '" ~ model.name ~ "'
            union all
            select fingerprint, 0 as is_finished
            from " ~ build_starts() ~ "
            where relation_name = '" ~ model.name ~ "'
        ) as made
    ")[0] %}
    {{ return(counts[0] != 1 or counts[1] != 1) }}
{% endmacro %}

{# Copies of the rows of a raw table that arrived, or came into or out of sight, since the last finished build: the new ones and
   what stood before them. What stood is staged. Where a build began and did not end, or staging is made anew by each, it is any
   copy delivered. #}
{% macro touched_copies(table) %}
    {%- do source('raw', table) -%}
    {%- do ref('int_deliveries') -%}
    {%- set rules = contract(table) if execute else {'columns': []} -%}
    {%- set names = rules.columns | map(attribute='name') | list -%}
    {%- set needed = rules.key + [rules.event_at, rules.ends_at, 'loaded_at'] if execute else [] -%}
    {%- set shared = ['prediction_id', 'model_id', 'entity_id', 'user_id', 'experiment_id', 'unit_id', 'cluster_id'] -%}
    {%- if build_ledger() is none or table not in setting('inputs') or raw_columns(table) is none %}
select
    cast(null as {{ dbt.type_string() }}) as table_name,
    cast(null as {{ dbt.type_string() }}) as row_key,
    {%- for name in shared %}
    cast(null as {{ dbt.type_string() }}) as {{ name }},
    {%- endfor %}
    cast(null as timestamp) as event_at,
    cast(null as timestamp) as ends_at,
    cast(null as timestamp) as loaded_at
where 1 = 0
    {%- else %}
    {%- set node = graph.nodes['model.' ~ project_name ~ '.stg_' ~ table] -%}
    {%- set staged = adapter.get_relation(node.database, node.schema, node.alias) if is_forward() and replaces_rows() else none %}
(
with new_copies as {{ not_materialized() }} (

    {{ typed_select(table, new_rows(table)) }}

),

touched_keys as (

    select distinct {{ row_key(rules) }} as row_key from new_copies

),

all_copies as {{ not_materialized() }} (

    {%- if staged is none %}
    {{ typed_select(table, delivered_rows(table)) }}
    {%- else %}
    select * from {{ staged }}
    {%- endif %}

),

copies as (

    {%- set columns = names | select('in', needed + shared) | join(', ') %}
    {%- if staged is not none %}
    select {{ columns }} from new_copies
    union all
    {%- endif %}
    select {{ columns }} from all_copies
    where {{ row_key(rules) if staged is none else staged_key(rules) }} in (select row_key from touched_keys)

)

select
    cast('{{ table }}' as {{ dbt.type_string() }}) as table_name,
    {{ row_key(rules) }} as row_key,
    {%- for name in shared %}
    {{ name if name in names else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as {{ name }},
    {%- endfor %}
    {{ rules.event_at }} as event_at,
    {{ rules.ends_at or 'cast(null as timestamp)' }} as ends_at,
    loaded_at
from copies
)
    {%- endif %}
{% endmacro %}
