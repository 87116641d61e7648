{# The plain queries of computed shapes: what `throughline sql` prints of a metric that no sum gives. Each is `<metric>_query`. #}

{# The rows of one model on days, as a condition; of a fact that carries segments those of the total. #}
{% macro rows_of_model(date_name, model_id, first_date, last_date, of_total=false) -%}
    {{ date_name }} between date '{{ first_date }}' and date '{{ last_date }}' and model_id = {{ text_literal(model_id) }}
    {{- " and segment_name = 'all'" if of_total }}
{%- endmacro %}

{% macro rmse_query(model_id, first_date, last_date) -%}
with sums as (

    {{ brick_sums({'numerator': 'squared_error', 'denominator': 'measured_decisions'}, model_id, first_date, last_date) }}

)

select
    numerator,
    denominator,
    sqrt(numerator / nullif(denominator, 0)) as value
from sums
{%- endmacro %}

{% macro roc_auc_query(model_id, first_date, last_date) -%}
with scores as (

    select
        score,
        sum(actual_positive_count) as positives,
        sum(matured_count - actual_positive_count) as negatives
    from {{ ref('fct_decisions').include(database=false) }}
    where
        {{ rows_of_model('decision_date', model_id, first_date, last_date) }}
        and label_state = 'matured' and score is not null and score <> cast('NaN' as {{ type_double() }})
    group by score

),

-- of two with the same score each counts as above the other by half
placed as (

    select
        positives,
        negatives,
        sum(negatives) over (order by score) - negatives / 2 as negatives_below
    from scores

)

-- where the waist knows scores by their bins alone, roc_auc_bound says how far it may be off
select sum(positives * negatives_below) / nullif(sum(positives) * sum(negatives), 0) as value
from placed
{%- endmacro %}

{% macro calibration_error_query(model_id, first_date, last_date) -%}
-- the bins of the score are those of int_score_edges
with bins as (

    select
        bin_number,
        sum(positive_count) as positives,
        sum(score_sum) as expected_positives,
        sum(positive_count + negative_count) as judged
    from {{ ref('fct_score_bins').include(database=false) }}
    where
        {{ rows_of_model('decision_date', model_id, first_date, last_date, of_total=true) }}
        and not is_missing
    group by bin_number

)

select sum(abs(positives - expected_positives)) / nullif(sum(judged), 0) as value
from bins
{%- endmacro %}

{% macro latency_p95_query(model_id, first_date, last_date) -%}
with latencies as (

    select
        latency_ms,
        sum(sampling_weight) as decision_count
    from {{ ref('fct_decisions').include(database=false) }}
    where
        {{ rows_of_model('decision_date', model_id, first_date, last_date) }}
        and latency_ms is not null
    group by latency_ms

),

reached as (

    select
        latency_ms,
        sum(decision_count) over (order by latency_ms) as reached_count,
        sum(decision_count) over () as timed_count
    from latencies

)

-- the waist takes more than one day from bins, at most 1 % off
select min(latency_ms) as value
from reached
where {{ reaches_share('reached_count', 'timed_count', latency_percentiles().latency_p95) }}
{%- endmacro %}

{% macro active_users_query(value, model_id, first_date, last_date) -%}
select {{ value }} as value
from {{ ref('fct_activity').include(database=false) }}
where
    {{ rows_of_model('activity_date', model_id, first_date, last_date, of_total=true) }}
    and is_active
{%- endmacro %}

{% macro monthly_active_users_query(model_id, first_date, last_date) -%}
{{ active_users_query('count(distinct user_id)', model_id, first_date, last_date) }}
{%- endmacro %}

{% macro weekly_active_users_query(model_id, first_date, last_date) -%}
{%- set week = modules.datetime.date.fromisoformat(last_date) - modules.datetime.timedelta(days=6) -%}
-- the last seven days alone, from {{ week }}
{{ active_users_query('count(distinct user_id)', model_id, week, last_date) }}
{%- endmacro %}

{% macro stickiness_query(model_id, first_date, last_date) -%}
{{ active_users_query('count(*) / (28.0 * nullif(count(distinct user_id), 0))', model_id, first_date, last_date) }}
{%- endmacro %}

{% macro embedded_share_query(model_id, first_date, last_date) -%}
with users as (

    select
        user_id,
        sum(active_day_count) as active_days,
        max(case when usage_date = date '{{ last_date }}' and is_eligible then 1 else 0 end) as is_eligible
    from {{ ref('fct_usage').include(database=false) }}
    where {{ rows_of_model('usage_date', model_id, first_date, last_date) }}
    group by user_id

)

select
    coalesce(sum(case when active_days >= {{ setting('embedded_days') }} then 1 else 0 end), 0) as numerator,
    count(*) as denominator,
    sum(case when active_days >= {{ setting('embedded_days') }} then 1.0 else 0.0 end) / nullif(count(*), 0) as value
from users
where is_eligible = 1
{%- endmacro %}
