-- One row per model, version, watched feature and week with decisions, of the score also day: whether it drifted from the reference.
{%- set run = 'partition by model_id, model_version, feature, period' %}
{%- set importance = setting('feature_importance') or {} %}
with verdicts as (

    select * from {{ ref('int_drift_verdicts') }}

),

feature_releases as (

    select * from {{ ref('int_feature_releases') }}

),

-- a drift lasts until a period is stable; one that is not ready neither ends nor begins it
counted as (

    select
        *,
        sum(case when status = 'stable' then 1 else 0 end) over (
            {{ run }} order by period_start_date nulls last rows unbounded preceding
        ) as stable_count
    from verdicts

),

begun as (

    select
        *,
        min(case when status = 'drift' then period_start_date end) over ({{ run }}, stable_count) as since_date,
        min(case when status = 'drift' then period_end_date end) over ({{ run }}, stable_count) as by_date
    from counted

),

-- a release shows in its own week or, late in it, in the next
released as (

    select distinct
        begun.model_id,
        begun.since_date,
        begun.by_date
    from begun
    inner join feature_releases
        on begun.model_id = feature_releases.model_id
        and feature_releases.released_date >= {{ dbt.dateadd('day', -7, 'begun.since_date') }}
        and feature_releases.released_date <= begun.by_date

),

weighed as (

    select
        *,
        case when status = 'drift' then 1 else 0 end as drifted,
        {% if importance -%}
        case feature{% for feature, weight in importance.items() %} when '{{ feature }}' then {{ weight }}{% endfor %} else 0 end
        {%- else -%}
        0
        {%- endif %} as importance
    from verdicts
    where feature_role = 'input' and status <> 'not_ready'

),

model_shares as (

    select
        model_id,
        model_version,
        period_start_date,
        {{ safe_ratio('sum(drifted)', 'count(*)') }} as drifted_share,
        {{ safe_ratio('sum(drifted * importance)', 'sum(importance)') }} as importance_drifted_share
    from weighed
    group by model_id, model_version, period_start_date

),

drift as (

    select
        begun.model_id,
        begun.model_version,
        begun.feature,
        begun.feature_role,
        begun.period,
        begun.feature_set_version,
        begun.status,
        begun.reason,
        begun.drift_kind,
        {%- for name in [
            'psi', 'psi_threshold', 'chi_square', 'chi_square_threshold', 'jensen_shannon_distance',
            'missing_share', 'missing_share_change', 'missing_change_threshold', 'new_category_share', 'new_category_threshold',
        ] %}
        case when begun.reason is null then begun.{{ name }} end as {{ name }},
        {%- endfor %}
        begun.bin_count,
        begun.decision_count,
        begun.effective_count,
        begun.reference_count,
        model_shares.drifted_share,
        model_shares.importance_drifted_share,
        begun.is_major,
        case when begun.status = 'drift' then released.model_id is not null end as began_with_feature_release,
        begun.period_start_date,
        begun.period_end_date,
        case when begun.status = 'drift' then begun.since_date end as drifted_since_date
    from begun
    left join released
        on begun.model_id = released.model_id
        and begun.since_date = released.since_date
        and begun.by_date = released.by_date
    left join model_shares
        on begun.model_id = model_shares.model_id
        and begun.model_version = model_shares.model_version
        and begun.period = 'week'
        and begun.period_start_date = model_shares.period_start_date

)

select * from drift
