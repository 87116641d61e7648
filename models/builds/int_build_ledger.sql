-- One row per thing the last finished build has seen: as_of, each model's fingerprint, each delivery.
-- It stands after all that is incremental:
-- depends_on: {{ ref('fct_metrics') }}, {{ ref('fct_unit_totals') }}, {{ ref('stg_arrivals') }}
-- depends_on: {{ ref('fct_score_bins') }}, {{ ref('fct_class_counts') }}, {{ ref('fct_group_cells') }}
-- depends_on: {{ ref('fct_latency_bins') }}, {{ ref('int_latency_days') }}, {{ ref('fct_chain_days') }}, {{ ref('fct_policy_days') }}
-- depends_on: {{ ref('fct_activity') }}, {{ ref('fct_metric_definitions') }}
-- depends_on: {{ ref('fct_feature_bins') }}, {{ ref('int_entity_periods') }}
{% if not execute or is_whole_build() -%}
with deliveries as (

    select * from {{ noted_deliveries() if execute else 'deliveries' }}

),

starts as (

    select * from {{ build_starts() if execute else 'build_starts' }}

),

entries as (

    select
        cast('as_of' as {{ dbt.type_string() }}) as entry_kind,
        cast('' as {{ dbt.type_string() }}) as entry_name,
        cast('' as {{ dbt.type_string() }}) as entry_key,
        cast({{ as_of() }} as {{ dbt.type_string() }}) as entry_value
    union all
    select
        'fingerprint' as entry_kind,
        relation_name as entry_name,
        '' as entry_key,
        fingerprint as entry_value
    from starts
    where invocation_id = '{{ invocation_id }}' and relation_name not like 'raw.%' and fingerprint not in ('deliveries were replaced', 'made empty')
    union all
    select
        'delivery' as entry_kind,
        table_name as entry_name,
        delivery as entry_key,
        fingerprint as entry_value
    from deliveries
    where fingerprint is not null

)
{%- else -%}
-- a part of the project was built, so what the whole has seen stays as it was
with entries as (

    select
        cast(null as {{ dbt.type_string() }}) as entry_kind,
        cast(null as {{ dbt.type_string() }}) as entry_name,
        cast(null as {{ dbt.type_string() }}) as entry_key,
        cast(null as {{ dbt.type_string() }}) as entry_value
    where 1 = 0

)
{%- endif %}

select * from entries
