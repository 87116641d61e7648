-- One row per model, version, watched feature and week with decisions, of the score also day: whether it drifted from the reference.
{%- set run = 'partition by model_id, model_version, feature, period' %}
{%- set at_once = 'partition by model_id, model_version, period, period_start_date' %}
{%- set inputs = "feature_role = 'input' and status <> 'not_ready'" %}
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
        ) as stable_count,
        {% if importance -%}
        case feature{% for feature, weight in importance.items() %} when '{{ feature }}' then {{ weight }}{% endfor %} else 0 end
        {%- else -%}
        0
        {%- endif %} as importance
    from verdicts

),

begun as (

    select
        *,
        case when status = 'drift' then
            min(case when status = 'drift' then period_start_date end) over ({{ run }}, stable_count)
        end as drifted_since_date,
        case when status = 'drift' then
            min(case when status = 'drift' then period_end_date end) over ({{ run }}, stable_count)
        end as drifted_by_date,
        {% for name, weight in [('drifted_share', '1'), ('importance_drifted_share', 'importance')] -%}
        {{ safe_ratio(
            "sum(case when " ~ inputs ~ " and status = 'drift' then " ~ weight ~ " else 0 end) over (" ~ at_once ~ ")",
            "sum(case when " ~ inputs ~ " then " ~ weight ~ " else 0 end) over (" ~ at_once ~ ")"
        ) }} as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from counted

),

-- a release shows in its own week or, late in it, in the next
released as (

    select distinct
        begun.model_id,
        begun.drifted_since_date,
        begun.drifted_by_date
    from begun
    inner join feature_releases
        on begun.model_id = feature_releases.model_id
        and feature_releases.released_date >= {{ dbt.dateadd('day', -7, 'begun.drifted_since_date') }}
        and feature_releases.released_date <= begun.drifted_by_date

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
        begun.drifted_share,
        begun.importance_drifted_share,
        begun.is_major,
        case when begun.status = 'drift' then released.model_id is not null end as began_with_feature_release,
        begun.period_start_date,
        begun.period_end_date,
        begun.drifted_since_date
    from begun
    left join released
        on begun.model_id = released.model_id
        and begun.drifted_since_date = released.drifted_since_date
        and begun.drifted_by_date = released.drifted_by_date

)

select * from drift
