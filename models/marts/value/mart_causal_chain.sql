-- One row per model, complete week and link from a decision to its value: volume, conversion, and whether the link is broken.
{%- set metrics = {
    'predicted': ['error_rate'],
    'shown': ['exposure_rate'],
    'acted_on': ['acceptance_rate'],
    'outcome': ['conversion_rate', 'precision', 'label_coverage'],
    'value': ['value_per_decision', 'revenue_per_decision'],
} %}
with links as (

    select * from {{ ref('int_chain_links') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

model_metrics as (

    select * from {{ ref('dim_model_metrics') }}

),

metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where model_version = 'all' and segment_name = 'all' and period = '7d'

),

drift as (

    select * from {{ ref('mart_drift') }}
    where model_version = 'all' and period = 'week' and feature_role = 'input'

),

link_metrics as (

    {% for link, names in metrics.items() -%}
    {% for name in names -%}
    select '{{ link }}' as link, '{{ name }}' as metric, {{ loop.index }} as place
    {{ 'union all' if not loop.last }}
    {% endfor -%}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- of the metrics that show a link the first that is read for the model
chosen as (

    select
        model_metrics.model_id,
        link_metrics.link,
        model_metrics.metric,
        model_metrics.owner,
        row_number() over (partition by model_metrics.model_id, link_metrics.link order by link_metrics.place nulls last) as place
    from link_metrics
    inner join model_metrics on link_metrics.metric = model_metrics.metric

),

-- features are no metric: the one that is missing most beyond its reference shows the link
drifts as (

    select
        model_id,
        feature,
        period_start_date,
        row_number() over (
            partition by model_id, period_start_date order by missing_share_change desc nulls last, feature asc nulls last
        ) as place
    from drift
    where missing_share_change > 0

),

first_broken as (

    select
        model_id,
        week_start_date,
        min(link_number) as link_number
    from links
    where status = 'broken'
    group by model_id, week_start_date

),

causal_chain as (

    select
        links.model_id,
        links.link,
        links.from_link,
        links.status,
        links.reason,
        case when links.link = 'features_present' then 'missing_share' else chosen.metric end as metric,
        case when links.link = 'features_present' then drifts.feature end as feature,
        coalesce(chosen.owner, models.owner) as owner,
        cast(links.link_number as bigint) as link_number,
        links.from_volume,
        links.volume,
        case when links.from_rows >= {{ setting('minimum_cell') }} then links.conversion end as conversion,
        links.reference_conversion,
        case
            when links.from_rows >= {{ setting('minimum_cell') }}
                then {{ safe_ratio('links.conversion', 'links.reference_conversion') }} - 1
        end as conversion_change,
        links.expected_count,
        links.overdispersion,
        links.z_score,
        metric_values.value as metric_value,
        first_broken.link_number is not null as is_first_broken,
        links.week_start_date,
        links.week_end_date
    from links
    inner join models on links.model_id = models.model_id
    left join chosen
        on links.model_id = chosen.model_id
        and links.link = chosen.link
        and chosen.place = 1
    left join drifts
        on links.model_id = drifts.model_id
        and links.week_start_date = drifts.period_start_date
        and drifts.place = 1
    left join metric_values
        on links.model_id = metric_values.model_id
        and chosen.metric = metric_values.metric
        and links.week_end_date = metric_values.period_end_date
    left join first_broken
        on links.model_id = first_broken.model_id
        and links.week_start_date = first_broken.week_start_date
        and links.link_number = first_broken.link_number

)

select * from causal_chain
