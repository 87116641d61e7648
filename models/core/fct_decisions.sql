-- One row per decision in production, every brick a column.
-- depends_on: {{ ref('int_touched_decisions') }}
{%- set features = input_features() %}
{%- set logged = (group_columns() + features) | unique | list %}
with predictions as {{ not_materialized() if not is_incremental() }} (

    select * from {{ ref('stg_prediction_logs') }} where {{ touched('predicted_at', 'prediction_id') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

links as (

    select * from {{ ref('int_outcome_links') }} where {{ touched('predicted_at', 'prediction_id') }}

),

outcomes as (

    select * from {{ ref('stg_business_outcomes') }}

),

usage_events as {{ not_materialized() if not is_incremental() }} (

    select * from {{ ref('stg_usage_events') }}
    {%- if is_incremental() %}
    where prediction_id in (select prediction_id from predictions) -- noqa: RF02
    {%- endif %}

),

unit_values as (

    select * from {{ ref('cfg_unit_values') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

linked_outcomes as (

    select
        links.prediction_id,
        links.is_credited,
        outcomes.outcome_id,
        outcomes.outcome_label,
        outcomes.occurred_at,
        outcomes.observed_at,
        coalesce(outcomes.status, 'final') as status,
        outcomes.outcome_name = models.label_outcome as is_label,
        coalesce(outcomes.outcome_name = models.amount_outcome, false) as is_amount,
        case
            when models.positive_label is not null then outcomes.outcome_label = models.positive_label
            when models.task in ('binary', 'ranking') then true
        end as is_positive,
        case models.task
            when 'regression' then outcomes.outcome_value is not null
            when 'multiclass' then outcomes.outcome_label is not null
            else models.positive_label is null or outcomes.outcome_label is not null
        end as is_informative,
        {{ in_reporting_currency('outcomes.outcome_value', 'outcomes.currency', 'rates.rate') }} as amount
    from links
    inner join outcomes on links.outcome_id = outcomes.outcome_id
    inner join models on links.model_id = models.model_id
    left join rates
        on outcomes.currency = rates.currency
        and {{ valid_at('rates', 'outcomes.occurred_at') }}
    where
        (outcomes.status is null or outcomes.status <> 'reversed')
        -- what is said of the future has not happened yet
        and outcomes.occurred_at <= {{ as_of() }}

),

label_candidates as (

    select
        *,
        row_number() over (
            partition by prediction_id
            order by
                case status when 'final' then 1 when 'provisional' then 2 else 3 end,
                case when is_positive then 1 else 2 end,
                occurred_at desc nulls last,
                outcome_id desc nulls last
        ) as candidate_rank
    from linked_outcomes
    where is_label and (status <> 'final' or is_informative)

),

labels as (

    select * from label_candidates where candidate_rank = 1

),

credits as (

    select
        prediction_id,
        sum(amount) as credited_amount
    from linked_outcomes
    where is_amount and is_credited and status = 'final'
    group by prediction_id

),

uses as (

    select
        prediction_id,
        max(case event_name when 'exposed' then 1 when 'viewed' then 2 else 3 end) as depth,
        min(occurred_at) as shown_at,
        min(case when event_name <> 'exposed' then occurred_at end) as viewed_at
    from usage_events
    where prediction_id is not null and event_name <> 'task_completed'
    group by prediction_id

),

ranked_actions as (

    select
        prediction_id,
        event_name,
        final_decision,
        override_reason,
        occurred_at,
        row_number() over (
            partition by prediction_id
            order by occurred_at desc nulls last, event_id desc nulls last
        ) as action_rank
    from usage_events
    where prediction_id is not null and event_name not in ('exposed', 'viewed', 'task_completed')

),

last_uses as (

    select
        uses.prediction_id,
        uses.depth,
        uses.shown_at,
        uses.viewed_at,
        ranked_actions.occurred_at as acted_at,
        {{ normal_label('trim(ranked_actions.final_decision)') }} as final_decision,
        ranked_actions.override_reason,
        coalesce(ranked_actions.event_name, 'ignored') as user_action
    from uses
    left join ranked_actions
        on uses.prediction_id = ranked_actions.prediction_id
        and ranked_actions.action_rank = 1

),

labelled as (

    select
        predictions.*,
        models.task,
        models.positive_label,
        models.negative_on_absence,
        models.latency_slo_ms,
        models.outcome_depends_on_action,
        {%- if logged %}
        case models.baseline_column
            {%- for name in logged %}
            when '{{ name }}' then cast(predictions.{{ name }} as {{ dbt.type_string() }})
            {%- endfor %}
        end as baseline_text,
        {%- else %}
        cast(null as {{ dbt.type_string() }}) as baseline_text,
        {%- endif %}
        1 / coalesce(predictions.sampling_fraction, 1) as sampling_weight,
        coalesce(predictions.decision_threshold, models.decision_threshold) as threshold_in_force,
        cast({{ dbt.dateadd('day', 'models.horizon_days + models.label_delay_days', 'predictions.predicted_at') }} as timestamp)
            as matures_at,
        labels.status as label_status,
        labels.observed_at as label_observed_at,
        labels.outcome_label,
        -- a regression model predicts amounts in the reporting currency
        labels.amount as outcome_value,
        labels.is_positive,
        credits.credited_amount,
        coalesce(last_uses.depth, 0) as use_depth,
        last_uses.shown_at,
        last_uses.viewed_at,
        last_uses.acted_at,
        last_uses.final_decision,
        last_uses.override_reason,
        coalesce(last_uses.user_action, 'not_shown') as user_action
    from predictions
    inner join models on predictions.model_id = models.model_id
    left join labels on predictions.prediction_id = labels.prediction_id
    left join credits on predictions.prediction_id = credits.prediction_id
    left join last_uses on predictions.prediction_id = last_uses.prediction_id
    where (predictions.environment is null or predictions.environment = 'prod')

),

judged as (

    select
        *,
        case
            when matures_at > {{ as_of() }} or label_status = 'provisional' then 'pending'
            when label_status = 'final' or (label_status is null and negative_on_absence) then 'matured'
            else 'unlabelled'
        end as label_state,
        case
            when task in ('multiclass', 'regression') and positive_label is null then null
            when predicted_label is not null and positive_label is not null and task <> 'ranking' then predicted_label = positive_label
            else score >= threshold_in_force
        end as is_predicted_positive,
        case
            when task not in ('multiclass', 'regression') or positive_label is not null
                then {{ says_positive('final_decision', 'positive_label') }}
        end as is_user_positive,
        case
            when label_status = 'final' then is_positive
            when label_status is null and negative_on_absence then false
        end as is_actual_positive
    from labelled

),

celled as (

    select
        *,
        case
            when label_state <> 'matured' then null
            when is_predicted_positive and is_actual_positive then 'tp'
            when is_predicted_positive and not is_actual_positive then 'fp'
            when not is_predicted_positive and is_actual_positive then 'fn'
            when not is_predicted_positive and not is_actual_positive then 'tn'
        end as confusion_cell,
        -- where acting changes what happens, nobody knows what would have followed
        case
            when label_state <> 'matured' or outcome_depends_on_action then null
            when is_user_positive and is_actual_positive then 'tp'
            when is_user_positive and not is_actual_positive then 'fp'
            when not is_user_positive and is_actual_positive then 'fn'
            when not is_user_positive and not is_actual_positive then 'tn'
        end as user_cell,
        case
            when label_state = 'matured' and task = 'multiclass' then predicted_label = outcome_label
            when label_state = 'matured' then is_predicted_positive = is_actual_positive
        end as is_correct
    from judged

),

valued as (

    select
        celled.*,
        {{ in_reporting_currency('unit_values.fixed_amount', 'unit_values.currency', 'rates.rate') }}
        + unit_values.amount_coefficient * coalesce(celled.credited_amount, 0) as decision_value,
        {{ in_reporting_currency('user_values.fixed_amount', 'user_values.currency', 'user_rates.rate') }}
        + user_values.amount_coefficient * coalesce(celled.credited_amount, 0) as user_value
    from celled
    left join unit_values
        on celled.model_id = unit_values.model_id
        and celled.confusion_cell = unit_values.cell
        and {{ valid_at('unit_values', 'celled.predicted_at') }}
    left join rates
        on unit_values.currency = rates.currency
        and {{ valid_at('rates', 'celled.predicted_at') }}
    left join unit_values as user_values
        on celled.model_id = user_values.model_id
        and celled.user_cell = user_values.cell
        and {{ valid_at('user_values', 'celled.predicted_at') }}
    left join rates as user_rates
        on user_values.currency = user_rates.currency
        and {{ valid_at('user_rates', 'celled.predicted_at') }}

),

decisions as (

    select
        prediction_id,
        model_id,
        model_version,
        entity_id,
        user_id,
        list_id,
        feature_set_version,
        {%- for column in group_columns() %}
        {{ column }},
        {%- endfor %}
        predicted_label,
        outcome_label as actual_label,
        label_state,
        confusion_cell,
        user_action,
        final_decision,
        override_reason,
        {{ normal_label('trim(baseline_text)') }} as baseline_decision,
        error_type,
        rank_position,
        cast(
            {%- if features %}
            {%- for name in features %}
            {{ '+ ' if not loop.first }}case when {{ name }} is not null then 1 else 0 end
            {%- endfor %}
            {%- else %}
            null
            {%- endif %}
            as {{ dbt.type_int() }}
        ) as feature_count,
        status_code,
        score,
        threshold_in_force as decision_threshold,
        propensity,
        predicted_value,
        outcome_value as actual_value,
        latency_ms,
        sampling_weight,
        sampling_weight as decision_count,
        {{ weighted("label_state = 'pending'") }} as pending_count,
        {{ weighted("label_state = 'matured'") }} as matured_count,
        {{ weighted("label_state = 'unlabelled'") }} as unlabelled_count,
        {{ weighted("label_state = 'matured' and label_observed_at > matures_at") }} as late_label_count,
        {{ weighted("label_state <> 'matured' and is_predicted_positive") }} as excluded_positive_count,
        {{ weighted("confusion_cell = 'tp'") }} as true_positive_count,
        {{ weighted("confusion_cell = 'fp'") }} as false_positive_count,
        {{ weighted("confusion_cell = 'fn'") }} as false_negative_count,
        {{ weighted("confusion_cell = 'tn'") }} as true_negative_count,
        {{ weighted("label_state = 'matured' and is_actual_positive") }} as actual_positive_count,
        {{ weighted("is_correct") }} as correct_count,
        {{ weighted("is_correct is not null") }} as judged_count,
        {{ weighted("use_depth >= 1") }} as shown_count,
        {{ weighted("use_depth >= 2") }} as viewed_count,
        {{ weighted("user_action = 'accepted'") }} as accepted_count,
        {{ weighted("user_action = 'rejected'") }} as rejected_count,
        {{ weighted("user_action = 'overridden'") }} as overridden_count,
        {{ weighted("user_action = 'edited'") }} as edited_count,
        {{ weighted("user_action = 'dismissed'") }} as dismissed_count,
        {{ weighted("user_action = 'ignored'") }} as ignored_count,
        {{ weighted("error_type is not null or status_code >= 400") }} as error_count,
        {{ weighted("status_code >= 500") }} as unavailable_count,
        {{ weighted("latency_ms <= latency_slo_ms and error_type is null and coalesce(status_code, 0) < 400") }} as in_time_count,
        {{ weighted("score is not null") }} as scored_count,
        sampling_weight * score as score_sum,
        {{ weighted("label_state = 'matured' and task = 'regression' and predicted_value is not null") }} as measured_count,
        case
            when label_state = 'matured' and task = 'regression' then sampling_weight * (predicted_value - outcome_value)
        end as error_sum,
        case
            when label_state = 'matured' and task = 'regression' then sampling_weight * {{ square('(predicted_value - outcome_value)') }}
        end as squared_error_sum,
        case
            when label_state = 'matured' and task = 'regression' and predicted_value is not null
                then sampling_weight * {{ square('outcome_value') }}
        end as squared_actual_sum,
        case
            when label_state = 'matured' and score between 0 and 1
                then sampling_weight * {{ square('(score - case when is_actual_positive then 1 else 0 end)') }}
        end as squared_score_error_sum,
        {{ weighted("decision_value is not null") }} as valued_count,
        sampling_weight * credited_amount as credited_amount,
        sampling_weight * decision_value as value_amount,
        sampling_weight * user_value as user_value_amount,
        cast(predicted_at as date) as decision_date,
        predicted_at,
        shown_at,
        viewed_at,
        acted_at,
        matures_at
    from valued

)

select * from decisions
