{# Different keys of the last 28 days of arrival that meet a decision, against those before. Logs may be sampled, so fewer are expected.
   Keys that decisions have in another writing warn. None meeting stops where there are enough of them, or where one is there in
   another writing. #}
{% macro keys_met_check(table, key, condition, grouped_by, detail) -%}
    {%- set warn, drop, least = threshold('keys_met', 'warn'), threshold('keys_met', 'drop'), threshold('keys_met', 'least') -%}
    {%- set text = dbt.type_string() -%}
    {%- set lives = "counted.grouped_by in (select label_outcome from " ~ ref('cfg_model_registry') ~ " where label_outcome is not null union select amount_outcome from " ~ ref('cfg_model_registry') ~ " where amount_outcome is not null)" if table == 'business_outcomes' else 'true' -%}
    {%- set model_id = 'counted.grouped_by' if table != 'business_outcomes' else "'(all)'" -%}
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

unmet as (

    select
        carried.grouped_by,
        carried.detail,
        carried.key_value,
        {{ plain_id('carried.key_value') }} as plain_id
    from carried
    left join decisions on carried.key_value = decisions.key_value
    where decisions.key_value is null

),

near as (

    select
        unmet.grouped_by,
        unmet.detail,
        min('''' || unmet.key_value || ''' against ''' || decisions.key_value) as example,
        {{ one_writing(key, 'unmet.key_value', 'decisions.key_value') }} as fix
    from unmet
    inner join decisions on unmet.plain_id = {{ plain_id('decisions.key_value') }}
    group by unmet.grouped_by, unmet.detail

)

select
    {{ check_row(table, 'keys_met', 'counted.recent_met', 'counted.recent_count',
        share ~ ' < ' ~ warn ~ ' * logged.sampled_share or ' ~ share_before ~ ' - ' ~ share ~ ' > ' ~ (drop + 0.000000001) ~ ' or near.example is not null',
        'counted.recent_count > 0 and counted.recent_met = 0 and ((counted.recent_count >= ' ~ least ~ ' and ' ~ lives ~ ') or near.example is not null)',
        "coalesce(near.example, '''' || counted.unmet || ''' against ''' || coalesce(logged.example, '')) || ''' of prediction_logs'",
        "case when near.example is not null then near.fix when " ~ matches('counted.unmet', '^[0-9][.][0-9]+[eE][+]?[0-9]+$') ~ " then 'The id came as a floating point number and lost digits: deliver it as text.' else 'Deliver what it names, or map " ~ key ~ " in vars.yml.' end",
        model_id=model_id, detail='counted.detail') }}
from counted
cross join logged
left join near on counted.grouped_by = near.grouped_by and counted.detail = near.detail
union all
select
    {{ check_row(table, 'keys_met', 'earlier_met', 'earlier_count', 'false', 'false', 'null', "''",
        model_id=model_id, detail="detail || ' before'") }}
from counted
where earlier_count > 0
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
    inner join {{ ref('cfg_experiments') }} as experiments on assignments.experiment_id = experiments.experiment_id
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

{# Ids of a raw table that decisions or usage have in another writing. #}
{% macro writings_met_check(table) -%}
    {%- set name = 'unit_id' if table == 'experiment_assignments' else 'user_id' -%}
    {%- set known = [] -%}
    {%- for other in ['prediction_logs', 'usage_events'] -%}
        {%- for column in contract(other).columns if column.name == 'user_id' or (name == 'unit_id' and column.name in ['entity_id', 'prediction_id']) -%}
            {%- do known.append("select '" ~ column.name[:-3] ~ "' as unit_type, " ~ column.name ~ " as id, '" ~ other ~ "' as table_name from " ~ ref('chk_' ~ other) ~ " where reject_reason is null and " ~ plain_id(column.name) ~ " in (select plain_id from delivered)") -%}
        {%- endfor -%}
    {%- endfor %}
(
with delivered as (

    select distinct
        {{ 'experiments.unit_type' if name == 'unit_id' else "'user'" }} as unit_type,
        checked.{{ name }} as id,
        {{ plain_id('checked.' ~ name) }} as plain_id
    from {{ ref('chk_' ~ table) }} as checked
    {%- if name == 'unit_id' %}
    inner join {{ ref('cfg_experiments') }} as experiments on checked.experiment_id = experiments.experiment_id
    {%- endif %}
    where checked.reject_reason is null

),

known as (

    {{ known | join('\n    union\n    ') }}

)

select
    {{ check_row(table, 'id_writings', 'count(distinct delivered.id)', 'count(distinct delivered.id)', 'count(*) > 0', 'false',
        "min('''' || delivered.id || ''' against ''' || known.id || ''' of ' || known.table_name)", one_writing(name, 'delivered.id', 'known.id'),
        detail="'" ~ name ~ " against other tables'") }}
from delivered
inner join known
    on delivered.unit_type = known.unit_type
    and delivered.plain_id = {{ plain_id('known.id') }}
    and delivered.id <> known.id
)
{%- endmacro %}

{# Stops where nobody who used a model is on its list of eligible users. Adoption would be 0 on every day, most likely because the two
   tables write the ids of people in different ways. Users who are missing from the list are no fault as long as one is on it. #}
{% macro users_met_check() -%}
    {%- set least = threshold('keys_met', 'least') %}
(
with listed as (

    select distinct
        model_id,
        user_id
    from {{ ref('chk_eligible_users') }}
    where reject_reason is null

),

used as (

    select distinct
        model_id,
        user_id
    from {{ ref('chk_usage_events') }}
    where reject_reason is null and user_id is not null

),

counted as (

    select
        used.model_id,
        count(*) as user_count,
        count(listed.user_id) as met_count,
        min(used.user_id) as example
    from used
    left join listed on used.model_id = listed.model_id and used.user_id = listed.user_id
    where used.model_id in (select model_id from listed)
    group by used.model_id

),

examples as (

    select
        model_id,
        min(user_id) as example
    from listed
    group by model_id

)

select
    {{ check_row('eligible_users', 'keys_met', 'counted.met_count', 'counted.user_count', 'counted.met_count = 0',
        'counted.met_count = 0 and counted.user_count >= ' ~ least,
        "'''' || examples.example || ''' against ''' || counted.example || ''' of usage_events'",
        "'Nobody who used the model is eligible: map user_id of one table in vars.yml to the ids of the other.'",
        model_id='counted.model_id', detail="'user_id against usage_events'") }}
from counted
inner join examples on counted.model_id = examples.model_id
)
{%- endmacro %}

{# What people did in the last 28 days of arrival about alerts that no rule can open: it is about nothing. #}
{% macro alerts_met_check() -%}
select
    {{ check_row('alert_actions', 'alerts_met', 'count(*) - sum(told.is_met)', 'count(*)', 'sum(told.is_met) < count(*)', 'false',
        'min(case when told.is_met = 0 then told.alert_key end)',
        "'Write alert_key as mart_alerts does: the rule, the model and, where it is of one, the segment.'") }}
from (
    select
        actions.action_id,
        actions.alert_key,
        max(case when named.alert_key is null then 0 else 1 end) as is_met
    from {{ ref('chk_alert_actions') }} as actions
    left join (
        select rules.rule_id || ':' || models.model_id as alert_key
        from {{ ref('cfg_alert_rules') }} as rules
        inner join (
            select model_id from {{ ref('cfg_model_registry') }}
            union all
            select '(all)' as model_id
        ) as models on rules.model_id in (models.model_id, '*')
    ) as named on substring(actions.alert_key || ':', 1, length(named.alert_key) + 1) = named.alert_key || ':'
    where
        actions.reject_reason is null
        and actions.loaded_at > {{ dbt.dateadd('day', -28, as_of()) }}
    group by actions.action_id, actions.alert_key
) as told
having count(*) > 0
{%- endmacro %}
