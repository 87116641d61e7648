{#  How a build recomputes only what its news can have changed.

    1. on-run-start notes that a run begins, with the fingerprint of each model it is about to alter (build_starts), and what was
       delivered since the last finished build (deliveries).
    2. int_touched_<raw table> finds the rows this touches.
    3. int_touched_keys says which outcomes and decisions those rows, and labels matured since, can have changed,
       int_touched_decisions adds those whose use arrived; int_touched_usage_dates and int_touched_dates say which dates of use and of
       the waist.
    4. A model of strategy `touched` deletes its touched rows or dates and inserts them anew.
    5. int_build_ledger, after all of them, remembers what this build saw.

    Nothing is forgotten before step 5: a build that died starts again from the same ledger. A model whose fingerprint is
    not the one in the ledger is rebuilt whole. #}

{# Whether a row of the model being built is to be computed: on a touched date, or any row where the whole is built. With a key,
   only the touched rows; their date is then a bare column of dates or moments, so that a scan can skip what lies outside. The model
   names the relation that says what is touched in a line `-- depends_on`, since dbt captures refs before it has read meta.touched_in. #}
{% macro touched(date_expression, key=none) -%}
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
        {{ is_on_touched_date('cast(' ~ date_expression ~ ' as date)', relation_name, key) }}
    {%- else -%}
        {%- set keys = "from " ~ ref(touched_in(model, key)) ~ " where relation_name = '" ~ relation_name ~ "'" -%}
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

{# The lower bound in time of what is linked by entity or user to some rows that this build recomputes: the day of the earliest of
   them less the longest horizon. A relation that is rebuilt whole reaches all. #}
{% macro reach_begins(relation_names, moment, condition) -%}
    {%- set begins = none -%}
    {%- if not execute -%}
        {%- for name in relation_names + ['dim_models'] -%}
            {%- do ref(name) -%}
        {%- endfor -%}
    {%- elif model.resource_type == 'model' and (is_incremental() or model.config.materialized != 'incremental') and build_ledger() is not none -%}
        {%- set reaching = [] -%}
        {%- for name in relation_names -%}
            {%- do reaching.append("select " ~ moment ~ " from " ~ ref(name) ~ " where " ~ condition) -%}
        {%- endfor -%}
        {%- set begins = rows_of("
            select cast(" ~ dbt.dateadd('day', '-max(models.horizon_days)', 'cast(cast(min(reaching.' ~ moment ~ ') as date) as timestamp)') ~ " as " ~ dbt.type_string() ~ ")
            from (" ~ reaching | join(' union all ') ~ ") as reaching
            cross join " ~ ref('dim_models') ~ " as models"
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

{% macro is_on_touched_date(date_expression, relation_name, key=none) -%}
    {{ date_expression }} in (select touched_date from {{ ref(touched_in(model, key)) }} where relation_name = '{{ relation_name }}')
{%- endmacro %}

{# The model that says which dates, or keys, of a model are touched. #}
{% macro touched_in(model, key=none) %}
    {{ return(model.config.meta.get('touched_in', 'int_touched_keys' if key else 'int_touched_dates')) }}
{% endmacro %}

{% macro is_touched_row(table, row_key) -%}
    {{ row_key }} in (select row_key from {{ ref('int_touched_' ~ table) }})
{%- endmacro %}

{# Whether a row that was kept is touched. It is among the touched copies, so a scan can skip what lies outside their span. #}
{% macro is_touched_staged_row(table) -%}
    {%- set rules = contract(table) -%}
    {%- set text = dbt.type_string() -%}
    {%- set span = rows_of("
        select cast(min(event_at) as " ~ text ~ "), cast(max(event_at) as " ~ text ~ ")
        from " ~ ref('int_touched_' ~ table) ~ "
        where event_at >= cast('1900-01-01' as timestamp) and event_at < cast('2200-01-01' as timestamp)
    ")[0] -%}
    {%- if span[0] is none -%}
    1 = 0
    {%- else -%}
    {{ rules.event_at }} >= cast('{{ span[0] }}' as timestamp) and {{ rules.event_at }} <= cast('{{ span[1] }}' as timestamp)
    and {{ is_touched_row(table, staged_key(rules)) }}
    {%- endif -%}
{%- endmacro %}

{# The rows that strategy `touched` replaces: meta.touched_by names their date column, meta.touched_key that of their key, and
   meta.rebuilt_by that of the names whose rows are all replaced,
   else it is a checked relation and they have a key of its raw table. #}
{% macro touched_rows_of_target() -%}
    {%- set column = model.config.meta.get('touched_by') -%}
    {%- if column -%}
        {{ is_touched(column, model.config.meta.get('touched_key')) }}
        {%- for name in ([model.config.meta.rebuilt_by] if model.config.meta.get('rebuilt_by') else []) if rebuilt(name) %} or {{ name }} in ('{{ rebuilt(name) | join("', '") }}'){% endfor -%}
    {%- else -%}
        {%- set table = model.name | replace('chk_', '') -%}
        (reject_reason is null and {{ is_touched_staged_row(table) }})
        {%- if not only_brings_rows(table) %} or (reject_reason is not null and {{ is_touched_row(table, row_key(contract(table))) }}){% endif -%}
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
    {% if build_ledger() is none or without_rows() or (model.config.meta.get('rebuilt_by') and not replaces_rows()) %}
        {{ return(true) }}
    {% endif %}
    {% if model.config.meta.get('totals_units') and totals_a_host() %}
        {{ return(true) }}
    {% endif %}
    {% set names = [model.name] + governed_notes(model) %}
    {% set known_count = rows_of("
        select count(*)
        from (
            select relation_name
            from (
                select entry_name as relation_name, entry_value as fingerprint, 1 as is_finished
                from " ~ build_ledger() ~ "
                where entry_kind = 'fingerprint'
                union all
                select relation_name, fingerprint, 0 as is_finished
                from " ~ build_starts() ~ "
            ) as made
            where relation_name in ('" ~ names | join("', '") ~ "')
            group by relation_name
            having count(distinct fingerprint) = 1 and sum(is_finished) = 1
        ) as known
    ")[0][0] %}
    {{ return(known_count != names | length) }}
{% endmacro %}

{# Copies of the rows of a raw table that arrived, or came into or out of sight, since the last finished build: the new ones and
   what stood before them. What stood is in the checked relation. Where a build began and did not end, or staging is made anew by
   each, it is any copy delivered. #}
{% macro touched_copies(table) %}
    {%- do read_raw(table) -%}
    {%- if not execute %}{{ return('select 1 as placeholder') }}{% endif -%}
    {%- set rules = contract(table) -%}
    {%- set columns = touched_columns(table) -%}
    {%- if build_ledger() is none or not is_delivered(table) %}
select
    {%- for name, type in columns.items() %}
    cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
    {%- else %}
    {%- set node = graph.nodes['model.' ~ package_name() ~ '.chk_' ~ table] -%}
    {%- set built = adapter.get_relation(node.database, node.schema, node.alias) if is_forward(table) and replaces_rows() else none %}
    {%- set named = rules.columns | map(attribute='name') | select('in', columns.keys() | list + rules.key + [rules.event_at, rules.ends_at]) | join(', ') %}
with new_copies as {{ not_materialized() }} (

    {{ typed_select(table, new_rows(table)) }}

),

touched_keys as (

    select distinct {{ row_key(rules) }} as row_key from new_copies

),

all_copies as {{ not_materialized() }} (

    {%- if built is none %}
    {{ typed_select(table, delivered_rows(table)) }}
    {%- else %}
    select * from {{ built }} where reject_reason is null
    {%- endif %}

),

copies as (

    {% if built is not none -%}
    select {{ named }} from new_copies
    union all
    {% endif -%}
    select {{ named }} from all_copies
    where {{ row_key(rules) if built is none else staged_key(rules) }} in (select row_key from touched_keys)

)

select
    {{ row_key(rules) }} as row_key,
    {{ rules.event_at }} as event_at,
    {%- if rules.ends_at %}
    {{ rules.ends_at }} as ends_at,
    {%- endif %}
    {%- for name in columns if name not in ['row_key', 'event_at', 'ends_at', 'loaded_at'] %}
    {{ name }},
    {%- endfor %}
    loaded_at
from copies
    {%- endif %}
{% endmacro %}

{# The columns of a touched relation, name -> type: the key, when it was, and what links the row to others. #}
{% macro touched_columns(table) %}
    {% set rules = contract(table) %}
    {% set text = dbt.type_string() %}
    {% set columns = {'row_key': text, 'event_at': 'timestamp'} %}
    {% do columns.update({'ends_at': 'timestamp'}) if rules.ends_at %}
    {% set shared = ['prediction_id', 'model_id', 'entity_id', 'user_id', 'experiment_id', 'unit_id', 'cluster_id'] %}
    {% for column in rules.columns if column.name in shared %}
        {% do columns.update({column.name: text}) %}
    {% endfor %}
    {% do columns.update({'loaded_at': 'timestamp'}) %}
    {{ return(columns) }}
{% endmacro %}

{# The rows of a model as the last build left them, some columns name -> type of them; none where it is to be built whole or has another
   form. For what a build must know of what it is about to replace, which no ref can say: that model is made after the one that asks. #}
{% macro built_rows(name, columns, condition='true') -%}
    {%- set node = graph.nodes.get('model.' ~ package_name() ~ '.' ~ name) if execute else none -%}
    {%- set built = none -%}
    {%- if node and may_look() and model.resource_type == 'model' and build_ledger() is not none -%}
        {%- set built = adapter.get_relation(node.database, node.schema, node.alias) -%}
        {%- set known = adapter.get_columns_in_relation(built) | map(attribute='name') | list if built is not none else [] -%}
        {%- set built = none if columns.keys() | reject('in', known) | list else built -%}
    {%- endif -%}
    {%- if built is none %}
    select
        {%- for column, type in columns.items() %}
        cast(null as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    where 1 = 0
    {%- else %}
    select distinct {{ columns.keys() | join(', ') }} from {{ built }}
    where {{ condition }}
    {%- endif %}
{%- endmacro %}
