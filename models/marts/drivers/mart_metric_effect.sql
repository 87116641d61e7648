-- One row per model and metric: how much a month one point of it is worth, at the volume of the newest 28 days.
{#- from 28 days to a month -#}
{%- set monthly = '365.25 / 336' %}
{%- set cells = ['true_positive', 'false_positive', 'false_negative', 'true_negative'] %}
{%- set tolerance = setting('unit_value_tolerance') %}
with model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where
        period = '28d'
        and model_version = 'all'
        and segment_name = 'all'
        and status = 'ready'

),

policy_days as (

    select * from {{ ref('fct_policy_days') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

declared as (

    select * from {{ ref('mart_kpi_links') }}

),

-- the newest value that can be read
newest as (

    select
        metric,
        model_id,
        max(period_end_date) as period_end_date
    from metric_values
    group by metric, model_id

),

read_values as (

    select metric_values.*
    from metric_values
    inner join newest
        on metric_values.metric = newest.metric
        and metric_values.model_id = newest.model_id
        and metric_values.period_end_date = newest.period_end_date

),

-- a share moves by a point, a cost by a cent, all else by one; towards what is better
wanted as (

    select
        model_metrics.model_id,
        model_metrics.metric,
        read_values.value,
        read_values.denominator * {{ monthly }} as monthly_volume,
        read_values.period_end_date,
        case when metrics.unit in ('share', 'currency') then 0.01 else 1 end
        * case when model_metrics.direction = 'down' then -1 else 1 end as change
    from model_metrics
    inner join metrics on model_metrics.metric = metrics.metric
    left join read_values
        on model_metrics.model_id = read_values.model_id
        and model_metrics.metric = read_values.metric
    where
        model_metrics.metric in ('precision', 'recall', 'acceptance_rate', 'adoption_rate', 'slo_share', 'cost_per_prediction')
        or exists (
            select 1 from declared
            where declared.model_id = model_metrics.model_id and declared.from_metric = model_metrics.metric
        )

),

-- values by cell over all judged days: of few days the rare ones are chance
valued as (

    select
        policy_days.model_id,
        {%- for cell in cells %}
        sum(policy_days.{{ cell }}_rows) as {{ cell }}_rows,
        {{ safe_ratio('sum(policy_days.' ~ cell ~ '_amount)', 'sum(policy_days.' ~ cell ~ '_count)') }} as {{ cell }}_value,
        {%- endfor %}
        {{ safe_ratio('sum(policy_days.findable_gain)', 'sum(policy_days.findable_count)') }} as finding_value
    from policy_days
    inner join spans on policy_days.model_id = spans.model_id
    where policy_days.decision_date <= spans.judged_through
    group by policy_days.model_id

),

pointed as (

    select
        model_id,
        'precision' as metric,
        true_positive_value - false_positive_value + true_negative_value - false_negative_value as value_of_one,
        greatest(abs(true_positive_value), abs(false_positive_value), abs(true_negative_value), abs(false_negative_value)) as largest_value,
        least(true_positive_rows, false_positive_rows, true_negative_rows, false_negative_rows) as fewest_rows
    from valued
    union all
    select
        model_id,
        'recall' as metric,
        finding_value as value_of_one,
        greatest(abs(finding_value + false_negative_value), abs(false_negative_value)) as largest_value,
        false_negative_rows as fewest_rows
    from valued

),

links as (

    select
        model_id,
        from_metric,
        to_metric,
        case when status = 'unknown' then (expected_low + expected_high) / 2 else observed_slope end as slope,
        case when status = 'unknown' then expected_low else observed_slope_low end as slope_low,
        case when status = 'unknown' then expected_high else observed_slope_high end as slope_high,
        case when status = 'unknown' then 1 else 0 end as declared_count
    from declared

),

paths_1 as (

    select
        model_id,
        from_metric,
        to_metric,
        1 as link_count,
        declared_count,
        from_metric || ' > ' || to_metric as path,
        slope,
        slope_low,
        slope_high
    from links

),

{% for length in [2, 3] -%}
{%- set before = 'paths_' ~ (length - 1) -%}
{%- set ends = [] -%}
{%- for one in ['slope_low', 'slope_high'] -%}
{%- for other in ['slope_low', 'slope_high'] -%}
{%- do ends.append(before ~ '.' ~ one ~ ' * links.' ~ other) -%}
{%- endfor -%}
{%- endfor -%}
paths_{{ length }} as (

    select
        {{ before }}.model_id,
        {{ before }}.from_metric,
        links.to_metric,
        {{ length }} as link_count,
        {{ before }}.declared_count + links.declared_count as declared_count,
        {{ before }}.path || ' > ' || links.to_metric as path,
        {{ before }}.slope * links.slope as slope,
        least({{ ends | join(', ') }}) as slope_low,
        greatest({{ ends | join(', ') }}) as slope_high
    from {{ before }}
    inner join links
        on {{ before }}.model_id = links.model_id
        and {{ before }}.to_metric = links.from_metric
        and {{ before }}.from_metric <> links.to_metric

),

{% endfor -%}
paths as (

    select * from paths_1
    union all
    select * from paths_2
    union all
    select * from paths_3

),

-- of the ways to an amount per unit the shortest, then the one of which more is observed
ways as (

    select
        paths.*,
        -- money that is spent is worth what it saves
        case when model_metrics.direction = 'down' then -1 else 1 end * read_values.denominator * {{ monthly }} as signed_volume,
        row_number() over (
            partition by paths.model_id, paths.from_metric
            order by paths.link_count asc, paths.declared_count asc, paths.path asc
        ) as place
    from paths
    inner join metrics on paths.to_metric = metrics.metric
    inner join read_values
        on paths.model_id = read_values.model_id
        and paths.to_metric = read_values.metric
    inner join model_metrics
        on paths.model_id = model_metrics.model_id
        and paths.to_metric = model_metrics.metric
    where metrics.unit = 'currency' and metrics.denominator_brick is not null

),

based as (

    select
        wanted.*,
        case
            when wanted.value is null then null
            when wanted.metric = 'cost_per_prediction' then 'volume'
            when pointed.value_of_one is not null and pointed.fewest_rows >= {{ setting('minimum_cell') }} then 'unit_values'
            when ways.declared_count = 0 then 'observed_links'
            when ways.declared_count > 0 then 'declared_links'
        end as basis,
        ways.path,
        ways.slope,
        ways.slope_low,
        ways.slope_high,
        ways.signed_volume,
        pointed.value_of_one,
        pointed.largest_value,
        pointed.fewest_rows,
        pointed.metric is not null as has_cells
    from wanted
    left join pointed
        on wanted.model_id = pointed.model_id
        and wanted.metric = pointed.metric
    left join ways
        on wanted.model_id = ways.model_id
        and wanted.metric = ways.from_metric
        and ways.place = 1

),

priced as (

    select
        *,
        case basis
            when 'volume' then -change * monthly_volume
            when 'unit_values' then change * monthly_volume * value_of_one
            when 'observed_links' then change * slope * signed_volume
            when 'declared_links' then change * slope * signed_volume
        end as effect,
        case
            when basis = 'unit_values' then abs(change) * monthly_volume * largest_value * {{ tolerance }}
            when basis = 'volume' then 0
        end as band
    from based

),

metric_effect as (

    select
        model_id,
        metric,
        cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) as currency,
        basis,
        case when basis in ('observed_links', 'declared_links') then path end as path,
        case
            when basis = 'volume' then 'The number of decisions stays as it is.'
            when basis = 'unit_values' and metric = 'precision'
                then 'The number selected stays; a missed case takes the place of a wrong positive, at the mean value of each cell.'
            when basis = 'unit_values'
                then 'Wrong positives stay; a missed case that is found brings what its own amount says.'
            when basis = 'observed_links' then 'Each link passes a change on as it was observed; all else stays.'
            when basis = 'declared_links'
                then 'Links that were not observed pass a change on as declared, in the middle of the range; all else stays.'
        end as assumption,
        case
            when basis is not null then null
            when value is null then 'metric_not_ready'
            when not has_cells then 'no_link'
            when value_of_one is null then 'cell_not_valued'
            else 'too_few_units'
        end as reason,
        value as metric_value,
        cast(change as {{ type_double() }}) as change,
        case
            when basis in ('observed_links', 'declared_links') then abs(signed_volume)
            when basis is not null then monthly_volume
        end as monthly_volume,
        effect as effect_monthly_amount,
        coalesce(effect - band, least(change * slope_low * signed_volume, change * slope_high * signed_volume)) as effect_low_amount,
        coalesce(effect + band, greatest(change * slope_low * signed_volume, change * slope_high * signed_volume)) as effect_high_amount,
        period_end_date
    from priced

)

select * from metric_effect
