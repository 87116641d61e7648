-- One row per experiment and variant beside the control: what a lift would reach in a year, and what serving it costs more.
{%- set prediction_units = "audiences.unit_type = 'prediction'" %}
with experiments as (

    select * from {{ ref('cfg_experiments') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

assignments as (

    select * from {{ ref('fct_assignments') }}

),

decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }}

),

metric_days as (

    select * from {{ ref('fct_metrics') }}
    where segment_name = 'all'

),

costs as (

    select * from {{ ref('fct_costs') }}

),

named_costs as (

    select * from {{ ref('int_named_costs') }}

),

rates as (

    select * from {{ ref('cfg_exchange_rates') }}

),

described as (

    select
        experiments.experiment_id,
        experiments.model_id,
        experiments.control_variant,
        experiments.unit_type,
        experiments.primary_metric,
        experiments.window_days,
        experiments.start_date,
        coalesce(experiments.extended_end_date, experiments.planned_end_date) as end_date,
        metrics.denominator_brick is not null as is_ratio,
        {{ in_reporting_currency('experiments.value_per_unit', 'experiments.currency', 'rates.rate') }} as unit_value,
        {{ days_until_known('metrics.known_after', 'models') }} as lag_days,
        {{ as_of_date() }} as end_day
    from experiments
    inner join metrics on experiments.primary_metric = metrics.metric
    inner join models on experiments.model_id = models.model_id
    left join rates
        on experiments.currency = rates.currency
        and {{ valid_at('rates', as_of_date()) }}

),

audiences as (

    select
        *,
        {{ safe_ratio(365, 'window_days') }} as windows_per_year,
        cast({{ dbt.dateadd('day', '-window_days', 'end_day') }} as date) as first_day,
        cast({{ dbt.dateadd('day', '-28 - lag_days', 'end_day') }} as date) as first_known_day,
        cast({{ dbt.dateadd('day', '-lag_days', 'end_day') }} as date) as end_known_day,
        cast({{ dbt.dateadd('day', 'window_days', 'end_date') }} as date) as end_cost_day
    from described

),

-- the units of one window, each once
audience_counts as (

    select
        audiences.experiment_id,
        cast(count(distinct case audiences.unit_type
            when 'user' then decisions.user_id
            when 'entity' then decisions.entity_id
        end) as {{ type_double() }})
        + coalesce(sum(case when {{ prediction_units }} then decisions.decision_count end), 0) as unit_count,
        sum(decisions.decision_count) as decision_count
    from audiences
    inner join decisions
        on audiences.model_id = decisions.model_id
        and audiences.first_day <= decisions.decision_date
        and audiences.end_day > decisions.decision_date
    group by audiences.experiment_id

),

denominators as (

    select
        audiences.experiment_id,
        sum(metric_days.denominator) as denominator
    from audiences
    inner join metric_days
        on audiences.primary_metric = metric_days.metric
        and audiences.model_id = metric_days.model_id
        and audiences.first_known_day <= metric_days.metric_date
        and audiences.end_known_day > metric_days.metric_date
    where audiences.is_ratio
    group by audiences.experiment_id

),

-- of models whose versions are told apart by their costs; other experiments need no join with decisions
priced_decisions as {{ not_materialized() }} (
    {% for unit_type, column in {'user': 'user_id', 'entity': 'entity_id', 'prediction': 'prediction_id'}.items() %}
    select
        '{{ unit_type }}' as unit_type,
        {{ column }} as unit_id,
        model_id,
        model_version,
        predicted_at,
        decision_count
    from decisions
    where {{ column }} is not null and model_id in (select named_costs.model_id from named_costs)
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

met_versions as (

    select
        audiences.experiment_id,
        assignments.variant,
        priced_decisions.model_version,
        sum(priced_decisions.decision_count) as decision_count
    from audiences
    inner join assignments on audiences.experiment_id = assignments.experiment_id
    inner join priced_decisions
        on audiences.model_id = priced_decisions.model_id
        and audiences.unit_type = priced_decisions.unit_type
        and assignments.unit_id = priced_decisions.unit_id
        -- a prediction is met by its own unit, whichever clock was ahead
        and ({{ prediction_units }} or assignments.assigned_at <= priced_decisions.predicted_at)
        and ({{ prediction_units }} or assignments.event_known_at > priced_decisions.predicted_at)
    where not assignments.is_multi_exposed and not assignments.is_late
    group by audiences.experiment_id, assignments.variant, priced_decisions.model_version

),

version_days as (

    select
        model_id,
        model_version,
        decision_date,
        sum(decision_count) as decision_count
    from decisions
    group by model_id, model_version, decision_date

),

-- what a decision of a version costs, over the days of the experiment on which such costs are delivered
type_costs as (

    select
        audiences.experiment_id,
        costs.model_version,
        costs.cost_type,
        {{ safe_ratio('sum(costs.cost_amount)', 'sum(version_days.decision_count)') }} as cost_per_decision
    from audiences
    inner join costs
        on audiences.model_id = costs.model_id
        and audiences.start_date <= costs.cost_date
        and audiences.end_cost_day > costs.cost_date
        and audiences.end_day > costs.cost_date
    inner join named_costs
        on costs.model_id = named_costs.model_id
        and costs.model_version = named_costs.model_version
        and costs.cost_type = named_costs.cost_type
    left join version_days
        on costs.model_id = version_days.model_id
        and costs.model_version = version_days.model_version
        and costs.cost_date = version_days.decision_date
    group by audiences.experiment_id, costs.model_version, costs.cost_type

),

version_costs as (

    select
        experiment_id,
        model_version,
        case when count(*) = count(cost_per_decision) then sum(cost_per_decision) end as cost_per_decision
    from type_costs
    group by experiment_id, model_version

),

variant_costs as (

    select
        met_versions.experiment_id,
        met_versions.variant,
        case
            when count(*) = count(version_costs.cost_per_decision)
                then sum(met_versions.decision_count * version_costs.cost_per_decision) / nullif(sum(met_versions.decision_count), 0)
        end as cost_per_decision
    from met_versions
    left join version_costs
        on met_versions.experiment_id = version_costs.experiment_id
        and met_versions.model_version = version_costs.model_version
    group by met_versions.experiment_id, met_versions.variant

),

variants as (

    select distinct
        assignments.experiment_id,
        assignments.variant
    from assignments
    inner join audiences on assignments.experiment_id = audiences.experiment_id
    where assignments.variant <> audiences.control_variant
    union all
    select
        audiences.experiment_id,
        '(planned)' as variant
    from audiences
    where not exists (select 1 from assignments where assignments.experiment_id = audiences.experiment_id)

),

stakes as (

    select
        variants.experiment_id,
        variants.variant,
        cast(case
            when audiences.is_ratio then coalesce(denominators.denominator, 0) * {{ safe_ratio(365, 28) }}
            else coalesce(audience_counts.unit_count, 0) * audiences.windows_per_year
        end as {{ type_double() }}) as units_per_year,
        cast(audiences.unit_value as {{ type_double() }}) as unit_value,
        cast(case
            -- a variant whose units meet no decision is served nothing
            when treated.variant is not null or controls.variant is not null
                then
                    (
                        case when treated.variant is null then 0 else treated.cost_per_decision end
                        - case when controls.variant is null then 0 else controls.cost_per_decision end
                    ) * coalesce(audience_counts.decision_count, 0) * audiences.windows_per_year
        end as {{ type_double() }}) as serving_cost_difference
    from variants
    inner join audiences on variants.experiment_id = audiences.experiment_id
    left join audience_counts on variants.experiment_id = audience_counts.experiment_id
    left join denominators on variants.experiment_id = denominators.experiment_id
    left join variant_costs as treated
        on variants.experiment_id = treated.experiment_id
        and variants.variant = treated.variant
    left join variant_costs as controls
        on variants.experiment_id = controls.experiment_id
        and audiences.control_variant = controls.variant

)

select * from stakes
