{# What is watched for drift: the features of the settings, what a model says, and what turned out. #}

{# Every watched feature: [{name, kind, role, source}]. `kind` is number or category, `role` input, prediction or label, `source` the
   CTE whose column of this name it is. Protected attributes are for fairness alone. #}
{% macro watched_features() %}
    {% set features = [
        {'name': 'score', 'kind': 'number', 'role': 'prediction', 'source': 'decisions'},
        {'name': 'predicted_value', 'kind': 'number', 'role': 'prediction', 'source': 'decisions'},
        {'name': 'predicted_label', 'kind': 'category', 'role': 'prediction', 'source': 'decisions'},
        {'name': 'actual_value', 'kind': 'number', 'role': 'label', 'source': 'labels'},
        {'name': 'actual_label', 'kind': 'category', 'role': 'label', 'source': 'labels'},
    ] %}
    {% for kind in ['number', 'category'] %}
        {% for name in setting('numeric_features' if kind == 'number' else 'categorical_features')
            if name not in setting('protected_attributes') and name not in features | map(attribute='name') %}
            {% do features.append({'name': name, 'kind': kind, 'role': 'input', 'source': 'predictions'}) %}
        {% endfor %}
    {% endfor %}
    {{ return(features) }}
{% endmacro %}

{# The features that stand in staging alone, for a select list. #}
{% macro input_features() %}
    {{ return(watched_features() | selectattr('role', 'equalto', 'input') | map(attribute='name') | list) }}
{% endmacro %}

{# The distinct entities of decisions for which the condition holds; a decision about none counts as one. #}
{% macro entity_count(condition='1 = 1', rows=none) -%}
    {%- set entity_id = rows ~ '.entity_id' if rows else 'entity_id' -%}
    count(distinct case when {{ condition }} then {{ entity_id }} end)
    + sum(case when {{ condition }} and {{ entity_id }} is null then 1 else 0 end)
{%- endmacro %}

{# What turned out, by the task of the model: the class, or for two classes which of them; amounts are numbers. #}
{% macro actual_class(decisions, models) -%}
    case
        when {{ models }}.task = 'multiclass' then {{ decisions }}.actual_label
        when {{ models }}.task = 'regression' then null
        when {{ decisions }}.actual_positive_count > 0 then 'positive'
        else 'negative'
    end
{%- endmacro %}

{# A row per decision and watched feature of one kind, from the CTEs `predictions`, `decisions` and `labels`. #}
{% macro feature_rows(kind) -%}
    {%- for feature in watched_features() | selectattr('kind', 'equalto', kind) %}
    select
        model_id,
        model_version,
        decision_date,
        entity_id,
        sampling_weight,
        '{{ feature.name }}' as feature,
        '{{ feature.role }}' as feature_role,
        cast({{ feature.name }} as {{ type_double() if kind == 'number' else dbt.type_string() }}) as feature_value
    from {{ feature.source }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# A query of the matured decisions with what turned out, as a number or as a class, from the CTEs `decisions` and `models`. #}
{% macro labels_to_watch() -%}
    select
        decisions.model_id,
        decisions.model_version,
        decisions.decision_date,
        decisions.entity_id,
        decisions.sampling_weight,
        case when models.task = 'regression' then decisions.actual_value end as actual_value,
        {{ actual_class('decisions', 'models') }} as actual_label
    from decisions
    inner join models on decisions.model_id = models.model_id
    where decisions.label_state = 'matured'
{%- endmacro %}

{# The quantile 1 - alpha of chi square with `freedom` degrees of freedom, by Wilson and Hilferty; z is that of the normal. #}
{% macro chi_square_quantile(freedom, z='2.8070337683438114') -%}
    {%- set spread = '2 / (9 * cast(' ~ freedom ~ ' as ' ~ type_double() ~ '))' -%}
    ({{ freedom }} * power(1 - {{ spread }} + {{ z }} * sqrt({{ spread }}), 3))
{%- endmacro %}

{# CTEs that measure how far the shares of `rows` lie from those of the reference, per cell of `keys`; the last is `distances`. Bins in
   which fewer than 5 are expected, or less than 1 %, count as one: of them chance alone makes a drift. What is too small even so
   joins the smallest of the others. `rows` has the keys, bin, share, reference_share, effective_count, reference_count,
   decision_count and feature_set_version. #}
{% macro pooled_bin_ctes(rows, keys) -%}
    {%- set cell = keys | join(', ') -%}
    {%- set expected = 'least(effective_count, reference_count)' -%}
small_bins as (

    select
        *,
        case when reference_share < 0.01 or reference_share * {{ expected }} < 5 then 1 else 0 end as is_small
    from {{ rows }}

),

ranked_bins as (

    select
        *,
        sum(case when is_small = 1 then reference_share end) over (partition by {{ cell }}) as small_share,
        row_number() over (partition by {{ cell }} order by is_small nulls last, reference_share nulls last, bin nulls last) as bin_rank
    from small_bins

),

named_bins as (

    select
        *,
        case
            when is_small = 1 then 'pooled'
            when bin_rank = 1 and (small_share < 0.01 or small_share * {{ expected }} < 5) then 'pooled'
            else bin
        end as pooled_bin
    from ranked_bins

),

pooled_bins as (

    select
        {{ cell }},
        pooled_bin,
        max(feature_set_version) as feature_set_version,
        max(decision_count) as decision_count,
        max(effective_count) as effective_count,
        max(reference_count) as reference_count,
        sum(share) as share,
        sum(reference_share) as reference_share,
        sum(case when reference_share > 0 then 1 else 0 end) as shown_bin_count,
        sum(case when bin = 'missing' then share else 0 end) as missing_share,
        sum(case when bin = 'missing' then reference_share else 0 end) as reference_missing_share,
        sum(case when bin = 'new' then share else 0 end) as new_category_share
    from named_bins
    group by {{ cell }}, pooled_bin

),

-- an empty bin counts as half a decision, or its logarithm would be infinite
floored_bins as (

    select
        *,
        greatest(share, 0.5 / effective_count) as floored_share,
        (share + reference_share) / 2 as mean_share,
        (effective_count * share + reference_count * reference_share) / (effective_count + reference_count) as common_share
    from pooled_bins

),

distances as (

    select
        {{ cell }},
        max(feature_set_version) as feature_set_version,
        max(decision_count) as decision_count,
        max(effective_count) as effective_count,
        max(reference_count) as reference_count,
        count(*) as bin_count,
        cast(sum(shown_bin_count) as bigint) as reference_bin_count,
        case
            when count(*) > 1 then sum((floored_share - reference_share) * ln(floored_share / reference_share))
        end as psi,
        case
            when count(*) > 1 then
                sum((share - reference_share) * (share - reference_share) / common_share)
                / (1 / max(effective_count) + 1 / max(reference_count))
        end as chi_square,
        case
            when count(*) > 1 then
                sqrt(greatest(0, sum(
                    case when share > 0 then share * ln(share / mean_share) else 0 end
                    + reference_share * ln(reference_share / mean_share)
                ) / (2 * ln(2.0))))
        end as jensen_shannon_distance,
        sum(missing_share) as missing_share,
        sum(reference_missing_share) as reference_missing_share,
        sum(new_category_share) as new_category_share
    from floored_bins
    group by {{ cell }}

)
{%- endmacro %}
