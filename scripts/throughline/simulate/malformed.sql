-- Rows with a fault: three of every kind, each with a key of its own.
-- `kind` says what is wrong with the row; everything else about it is in order. Most break the
-- contract; a bad cell of a column that may be absent is as good as absent, and the row stays.

create macro bad_time() as getvariable('as_of') - to_days(10);
create macro is_bad_cell(kind) as kind in (
    'rank_position_zero', 'propensity_zero', 'propensity_above_one', 'negative_latency',
    'negative_duration'
);
create macro bad_key(kind, copy) as 'bad-' || kind || '-' || copy;

create table malformed_prediction_logs as
select
    kind,
    if(kind = 'missing_prediction_id', null, bad_key(kind, copy)) as prediction_id,
    case kind when 'unknown_model' then 'churn_forecast' when 'missing_model_id' then null
        else 'lead_scoring' end as model_id,
    if(kind = 'missing_model_version', null, '2026.1') as model_version,
    if(kind = 'missing_predicted_at', null, bad_time()) as predicted_at,
    if(kind = 'missing_entity_id', null, 'lead-of-' || bad_key(kind, copy)) as entity_id,
    'rep-0' as user_id,
    case kind when 'score_above_one' then 1.7 when 'score_below_zero' then -0.2 else 0.5 end::double
        as score,
    if(kind = 'rank_position_zero', 0, null)::int as rank_position,
    case kind when 'propensity_zero' then 0.0 when 'propensity_above_one' then 1.4 end::double
        as propensity,
    'prod' as environment,
    if(kind = 'negative_latency', -5, 50)::double as latency_ms,
    if(kind = 'sampling_fraction_zero', 0, null)::double as sampling_fraction,
    bad_time() + to_hours(1) as loaded_at
from unnest([
    'missing_prediction_id', 'missing_model_id', 'missing_model_version', 'missing_predicted_at',
    'missing_entity_id', 'unknown_model', 'score_above_one', 'score_below_zero',
    'rank_position_zero', 'propensity_zero', 'propensity_above_one', 'negative_latency',
    'sampling_fraction_zero'
]) as kinds(kind), range(3) as copies(copy);

create table malformed_usage_events as
select
    kind,
    if(kind = 'missing_event_id', null, bad_key(kind, copy)) as event_id,
    case kind when 'unknown_event_name' then 'clicked' when 'missing_event_name' then null
        else 'viewed' end as event_name,
    if(kind = 'missing_occurred_at', null, bad_time()) as occurred_at,
    if(kind = 'missing_user_id', null, 'rep-0') as user_id,
    if(kind = 'unknown_model', 'churn_forecast', 'lead_scoring') as model_id,
    if(kind = 'negative_duration', -1, 900)::double as duration_ms,
    bad_time() + to_hours(1) as loaded_at
from unnest([
    'missing_event_id', 'missing_event_name', 'missing_occurred_at', 'missing_user_id',
    'unknown_event_name', 'unknown_model', 'negative_duration'
]) as kinds(kind), range(3) as copies(copy);

create table malformed_business_outcomes as
select
    kind,
    if(kind = 'missing_outcome_id', null, bad_key(kind, copy)) as outcome_id,
    if(kind = 'missing_outcome_name', null, 'converted') as outcome_name,
    if(kind = 'without_any_link', null, 'lead-of-' || bad_key(kind, copy)) as entity_id,
    if(kind = 'without_label_and_value', null, 'true') as outcome_label,
    if(kind = 'missing_occurred_at', null, bad_time()) as occurred_at,
    case kind when 'observed_before_occurred' then bad_time() - to_hours(3)
        when 'missing_observed_at' then null else bad_time() end as observed_at,
    if(kind = 'unknown_status', 'maybe', 'final') as status,
    bad_time() + to_hours(1) as loaded_at
from unnest([
    'missing_outcome_id', 'missing_outcome_name', 'missing_occurred_at', 'missing_observed_at',
    'without_any_link', 'without_label_and_value', 'observed_before_occurred', 'unknown_status'
]) as kinds(kind), range(3) as copies(copy);

create table malformed_eligible_users as
select
    kind,
    if(kind = 'missing_user_id', null, bad_key(kind, copy)) as user_id,
    if(kind = 'unknown_model', 'churn_forecast', 'lead_scoring') as model_id,
    bad_time() + to_seconds(copy) as eligible_from,
    if(kind = 'ends_before_it_starts', bad_time() - to_days(1), null) as eligible_to,
    bad_time() + to_hours(1) as loaded_at
from unnest(['missing_user_id', 'unknown_model', 'ends_before_it_starts']) as kinds(kind),
    range(3) as copies(copy);

create table malformed_experiment_assignments as
select
    kind,
    'offer_ranking_aa' as experiment_id,
    if(kind = 'missing_unit_id', null, bad_key(kind, copy)) as unit_id,
    if(kind = 'missing_variant', null, 'control') as variant,
    bad_time() as assigned_at,
    if(kind = 'exposed_before_assigned', bad_time() - to_hours(1), null) as first_exposed_at,
    bad_time() + to_hours(1) as loaded_at
from unnest(['missing_unit_id', 'missing_variant', 'exposed_before_assigned']) as kinds(kind),
    range(3) as copies(copy);

create table malformed_feedback as
select
    kind,
    if(kind = 'missing_response_id', null, bad_key(kind, copy)) as response_id,
    if(kind = 'unknown_survey_type', 'mood', 'csat') as survey_type,
    if(kind = 'unreadable_time', 'last Tuesday', csv_time(bad_time()))
        as asked_at,
    if(kind = 'answered_before_asked', csv_time(bad_time() - to_hours(1)), null)
        as responded_at,
    if(kind = 'score_outside_scale', 9, 4)::double as score,
    1.0::double as scale_min,
    5.0::double as scale_max,
    if(kind = 'unknown_model', 'churn_forecast', 'lead_scoring') as model_id,
    csv_time(bad_time() + to_hours(1)) as loaded_at
from unnest([
    'missing_response_id', 'unknown_survey_type', 'unreadable_time', 'answered_before_asked',
    'score_outside_scale', 'unknown_model'
]) as kinds(kind), range(3) as copies(copy);

create table malformed_model_releases as
select
    kind,
    bad_key(kind, copy) as release_id,
    'lead_scoring' as model_id,
    if(kind = 'missing_model_version', null, '2026.1') as model_version,
    if(kind = 'unknown_event_type', 'went_live', 'validation') as event_type,
    if(kind = 'unreadable_time', '31/06/2026', csv_time(bad_time())) as event_at,
    csv_time(bad_time() + to_hours(1)) as loaded_at
from unnest(['missing_model_version', 'unknown_event_type', 'unreadable_time']) as kinds(kind),
    range(3) as copies(copy);

create table malformed_serving_costs as
select
    kind,
    bad_key(kind, copy) as cost_id,
    'fraud_detection' as model_id,
    bad_time() as period_start,
    if(kind = 'ends_before_it_starts', bad_time() - to_days(1), bad_time() + to_days(1))
        as period_end,
    if(kind = 'unknown_cost_type', 'coffee', 'compute') as cost_type,
    if(kind = 'missing_amount', null, 10)::double as amount,
    if(kind = 'missing_currency', null, 'USD') as currency,
    bad_time() + to_days(1) as loaded_at
from unnest(['ends_before_it_starts', 'unknown_cost_type', 'missing_amount', 'missing_currency'])
    as kinds(kind), range(3) as copies(copy);

create table malformed_kpi_annotations as
select
    malformation,
    bad_key(malformation, copy) as annotation_id,
    if(malformation = 'unreadable_time', 'soon', csv_time(bad_time()))
        as effective_from,
    if(malformation = 'ends_before_it_starts', csv_time(bad_time() - to_days(1)), null)
        as effective_to,
    'all' as scope,
    'campaign' as kind,
    if(malformation = 'missing_title', null, 'Summer sale') as title,
    csv_time(bad_time() + to_hours(1)) as loaded_at
from unnest(['unreadable_time', 'ends_before_it_starts', 'missing_title'])
    as kinds(malformation), range(3) as copies(copy);
