-- One row per model and day: what its judged decisions were worth by cell, and what the policy before it would have made of them.
-- depends_on: {{ ref('int_touched_decision_dates') }}
{%- set double = type_double() %}
{%- set cells = {'tp': 'true_positive', 'fp': 'false_positive', 'fn': 'false_negative', 'tn': 'true_negative'} %}
{%- set is_compared = 'baseline_value is not null and value_amount is not null' %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where confusion_cell is not null and {{ touched('decision_date') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

unit_values as (

    select * from {{ ref('cfg_unit_values') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

-- what a decision of each cell is worth on a day
{{ cell_value_ctes() }},

told as (

    select
        decisions.model_id,
        decisions.confusion_cell,
        decisions.sampling_weight,
        decisions.value_amount,
        models.baseline_policy,
        decisions.user_action,
        decisions.final_decision is not null as has_final_decision,
        decisions.confusion_cell in ('tp', 'fp') as is_selected,
        decisions.confusion_cell in ('tp', 'fn') as is_positive,
        case models.baseline_policy
            when 'all' then true
            when 'none' then false
            when 'column' then {{ says_positive('decisions.baseline_decision', 'models.positive_label') }}
            when 'expert' then {{ says_positive('decisions.final_decision', 'models.positive_label') }}
        end as is_baseline_selected,
        {%- for cell in cells %}
        decisions.sampling_weight * cell_values.{{ cell }}_amount
        + cell_values.{{ cell }}_coefficient * coalesce(decisions.credited_amount, 0) as {{ cell }}_value,
        {%- endfor %}
        decisions.decision_date
    from decisions
    inner join models on decisions.model_id = models.model_id
    left join cell_values
        on decisions.model_id = cell_values.model_id
        and decisions.decision_date = cell_values.date_day

),

compared as (

    select
        *,
        case
            when is_baseline_selected is null then null
            when is_baseline_selected = is_selected then value_amount
            when is_baseline_selected and is_positive then tp_value
            when is_baseline_selected then fp_value
            when is_positive then fn_value
            else tn_value
        end as baseline_value
    from told

),

policy_days as (

    select
        model_id,
        count(*) as row_count,
        cast(sum(sampling_weight) as {{ double }}) as judged_count,
        {%- for cell, name in cells.items() %}
        count(case when confusion_cell = '{{ cell }}' and value_amount is not null then 1 end) as {{ name }}_rows,
        cast(sum(case when confusion_cell = '{{ cell }}' and value_amount is not null then sampling_weight else 0 end) as {{ double }})
            as {{ name }}_count,
        cast(sum(case when confusion_cell = '{{ cell }}' then coalesce(value_amount, 0) else 0 end) as {{ double }}) as {{ name }}_amount,
        {%- endfor %}
        -- what the cases that were missed would have brought
        cast(sum(
            case when confusion_cell = 'fn' and value_amount is not null and tp_value is not null then sampling_weight else 0 end
        ) as {{ double }}) as findable_count,
        cast(sum(
            case when confusion_cell = 'fn' and value_amount is not null and tp_value is not null then tp_value - value_amount else 0 end
        ) as {{ double }}) as findable_gain,
        cast(sum(case when is_baseline_selected is not null then sampling_weight else 0 end) as {{ double }}) as baseline_count,
        cast(sum(case when is_baseline_selected <> is_selected then sampling_weight else 0 end) as {{ double }}) as changed_count,
        count(case when {{ is_compared }} then 1 end) as compared_rows,
        cast(sum(case when {{ is_compared }} then sampling_weight else 0 end) as {{ double }}) as compared_count,
        cast(sum(case when {{ is_compared }} then value_amount else 0 end) as {{ double }}) as compared_amount,
        cast(sum(case when {{ is_compared }} then baseline_value else 0 end) as {{ double }}) as baseline_amount,
        cast(sum(
            case when {{ is_compared }} then (value_amount - baseline_value) * (value_amount - baseline_value) else 0 end
        ) as {{ double }}) as gain_square_sum,
        {%- for name, actions in [
            ('overridden', "in ('overridden', 'edited')"),
            ('followed', "in ('accepted', 'rejected', 'dismissed')"),
        ] %}
        count(case when user_action {{ actions }} then 1 end) as {{ name }}_rows,
        count(case when user_action {{ actions }} and has_final_decision then 1 end) as {{ name }}_told_rows,
        {%- endfor %}
        decision_date
    from compared
    group by model_id, decision_date

)

select * from policy_days
