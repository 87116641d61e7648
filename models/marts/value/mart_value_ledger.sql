-- One row per governed model and month: what its decisions were worth, what serving it cost, and what remains.
{%- set cost_types = cost_types() if execute else [] %}
{#- of a month that is not over, its last complete day -#}
{%- set month_end = 'least(cast(' ~ dbt.last_day('months.month_start_date', 'month') ~ ' as date), cast('
    ~ dbt.dateadd('day', -1, as_of_date()) ~ ' as date))' %}
{%- set bricks = ['decisions', 'matured_decisions', 'pending_decisions', 'valued_decisions', 'decision_value'] %}
with brick_days as (

    select * from {{ ref('fct_bricks') }}
    where segment_name = 'all'

),

costs as (

    select * from {{ ref('fct_costs') }}

),

dates as (

    select * from {{ ref('dim_dates') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

watermarks as (

    select
        model_id,
        max(case when source_name = 'serving_costs' then known_through end) as costs_through,
        max(case when source_name = 'labels' then known_through end) as labels_through,
        max(case when source_name = 'amounts' then known_through end) as amounts_through
    from {{ ref('int_watermarks') }}
    group by model_id

),

-- what an open decision is expected to be worth: the mean over all decisions of the latest 28 days whose labels had time to arrive
recent_values as (

    select
        models.model_id,
        sum(brick_days.amount) filter (where brick_days.brick = 'decision_value') as value_amount,
        sum(brick_days.amount) filter (where brick_days.brick = 'labelled_or_due_decisions') as due_count,
        sum(brick_days.unit_count) filter (where brick_days.brick = 'valued_decisions') as valued_units
    from models
    inner join brick_days
        on models.model_id = brick_days.model_id
        and {{ last_matured_date('models') }} >= brick_days.metric_date
        and cast({{ dbt.dateadd('day', -27, last_matured_date('models')) }} as date) <= brick_days.metric_date
    group by models.model_id

),

expected_values as (

    select
        model_id,
        {{ safe_ratio('coalesce(value_amount, 0)', 'due_count') }} as mean_value
    from recent_values
    where valued_units >= {{ setting('minimum_cell') }}

),

month_bricks as (

    select
        brick_days.model_id,
        {%- for brick in bricks %}
        coalesce(sum(brick_days.amount) filter (where brick_days.brick = '{{ brick }}'), 0) as {{ brick }},
        {%- endfor %}
        dates.month_start_date
    from brick_days
    inner join dates on brick_days.metric_date = dates.date_day
    where dates.is_complete
    group by brick_days.model_id, dates.month_start_date

),

month_costs as (

    select
        costs.model_id,
        {%- for cost_type in cost_types %}
        sum(case when costs.cost_type = '{{ cost_type }}' then costs.cost_amount else 0 end) as {{ cost_type }}_cost_amount,
        {%- endfor %}
        sum(costs.cost_amount) as total_cost_amount,
        dates.month_start_date
    from costs
    inner join dates on costs.cost_date = dates.date_day
    where dates.is_complete
    group by costs.model_id, dates.month_start_date

),

months as (

    select distinct month_start_date
    from dates
    where is_complete

),

active_months as (

    select
        model_id,
        month_start_date
    from month_bricks
    where decisions <> 0
    union all
    select
        model_id,
        month_start_date
    from month_costs

),

first_months as (

    select
        model_id,
        min(month_start_date) as first_month
    from active_months
    group by model_id

),

model_months as (

    select
        models.model_id,
        models.model_name,
        expected_values.mean_value,
        {%- for brick in bricks %}
        coalesce(month_bricks.{{ brick }}, 0) as {{ brick }},
        {%- endfor %}
        {%- for cost_type in cost_types + ['total'] %}
        {%- set amount = cost_type ~ '_cost_amount' %}
        -- what was not delivered is unknown, not free
        case when {{ month_end }} <= watermarks.costs_through then coalesce(month_costs.{{ amount }}, 0) end as {{ amount }},
        {%- endfor %}
        case
            when watermarks.costs_through is null or {{ month_end }} > watermarks.costs_through
                then {{ not_delivered('serving_costs') }}
        end as cost_reason,
        case
            when {{ month_end }} > watermarks.labels_through
                then {{ not_delivered('business_outcomes', 'labels') }}
            when {{ month_end }} > watermarks.amounts_through
                then {{ not_delivered('business_outcomes', 'amounts') }}
        end as value_reason,
        cast({{ dbt.last_day('months.month_start_date', 'month') }} as date) < {{ as_of_date() }} as is_complete,
        months.month_start_date
    from models
    inner join first_months on models.model_id = first_months.model_id
    inner join months on first_months.first_month <= months.month_start_date
    left join watermarks on models.model_id = watermarks.model_id
    left join expected_values on models.model_id = expected_values.model_id
    left join month_bricks
        on models.model_id = month_bricks.model_id
        and months.month_start_date = month_bricks.month_start_date
    left join month_costs
        on models.model_id = month_costs.model_id
        and months.month_start_date = month_costs.month_start_date

),

valued as (

    select
        *,
        {{ safe_ratio('matured_decisions', 'decisions') }} as matured_share,
        case when value_reason is null and (decisions = 0 or valued_decisions <> 0) then decision_value end as matured_value_amount,
        case
            when value_reason is not null then null
            when pending_decisions = 0 then 0
            else mean_value * pending_decisions
        end as estimated_value_amount
    from model_months

),

netted as (

    select
        *,
        matured_value_amount - total_cost_amount as net_value_amount,
        -- a month whose decisions are all matured and have no unit value stays unknown
        case when matured_value_amount is not null or pending_decisions <> 0 then coalesce(matured_value_amount, 0) end
        + estimated_value_amount - total_cost_amount as net_value_with_estimate_amount
    from valued

),

ledger as (

    select
        model_id,
        model_name,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        decisions as decision_count,
        matured_decisions as matured_count,
        pending_decisions as pending_count,
        valued_decisions as valued_count,
        matured_share,
        value_reason,
        cost_reason,
        matured_value_amount,
        cast(estimated_value_amount as {{ type_double() }}) as estimated_value_amount,
        {%- for cost_type in cost_types + ['total'] %}
        cast({{ cost_type }}_cost_amount as {{ type_double() }}) as {{ cost_type }}_cost_amount,
        {%- endfor %}
        cast(net_value_amount as {{ type_double() }}) as net_value_amount,
        cast(net_value_with_estimate_amount as {{ type_double() }}) as net_value_with_estimate_amount,
        {{ safe_ratio('net_value_amount', 'total_cost_amount') }} as roi,
        is_complete,
        month_start_date
    from netted

)

select * from ledger
