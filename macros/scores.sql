{# Bins of scores: their edges, and what is told from sums over them. #}

{# True where the values from `before` up to `through` of `total` rows, in order, hold a quantile first/parts to (parts - 1)/parts: the
   smallest value that so large a share of the rows does not exceed. Whole numbers alone, so that every engine finds the same one. #}
{% macro holds_quantile(before, through, total, parts, first=1) -%}
    least(({{ parts }} * {{ through }} - mod({{ parts }} * {{ through }}, {{ total }})) / {{ total }}, {{ parts - 1 }})
    >= greatest(({{ parts }} * {{ before }} - mod({{ parts }} * {{ before }}, {{ total }})) / {{ total }} + 1, {{ first }})
{%- endmacro %}

{# How a row of fct_score_bins is known to what says which of them are touched. #}
{% macro score_day_key(date_name='decision_date') -%}
    concat(model_id, ' ', {{ date_name }})
{%- endmacro %}

{# CTEs that tell from weights by place how well an order separates the classes; the last is `<rows>_shapes`, one row per cell. They
   read the CTE `rows`: the columns of `cell`, place, is_tied, and of either class the weights, their squares and the rows. Rows of one
   place are taken as tied, and what another order of them could make of it is the bound. #}
{% macro score_shape_ctes(rows, cell) -%}
{%- set cell = cell | join(', ') -%}
{{ rows }}_above as (

    select
        {{ cell }},
        is_tied,
        positive_count,
        negative_count,
        positive_weight_squares,
        negative_weight_squares,
        positive_row_count,
        negative_row_count,
        {%- for name in ['positive', 'negative'] %}
        coalesce(sum({{ name }}_count) over (
            partition by {{ cell }}
            order by place desc nulls last
            rows between unbounded preceding and 1 preceding
        ), 0) as {{ name }}s_above,
        nullif(sum({{ name }}_count) over (
            partition by {{ cell }}
        ), 0) as {{ name }}s{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ rows }}
    where positive_count + negative_count > 0

),

-- the share of the other class that stands below a positive, and above a negative
{{ rows }}_placed as (

    select
        *,
        (negatives - negatives_above - negative_count / 2) / negatives as negatives_below_share,
        (positives_above + positive_count / 2) / positives as positives_above_share,
        positives_above + positive_count + negatives_above + negative_count as selected_count
    from {{ rows }}_above

),

{{ rows }}_told as (

    select
        *,
        sum(positive_count * negatives_below_share) over (
            partition by {{ cell }}
        ) / positives as auc,
        positive_count * (positives_above + positive_count) / selected_count as precision_sum,
        case
            when positive_count = 0 then 0
            when is_tied or negatives_above + negative_count = 0 then positive_count * (positives_above + positive_count) / selected_count
            else
                positive_count - (negatives_above + negative_count)
                * ln(selected_count / (positives_above + negatives_above + negative_count))
        end as precision_sum_low,
        case
            when positive_count = 0 then 0
            when is_tied then positive_count * (positives_above + positive_count) / selected_count
            else positive_count * (positives_above + positive_count) / (positives_above + positive_count + negatives_above)
        end as precision_sum_high
    from {{ rows }}_placed

),

{{ rows }}_summed as (

    select
        {{ cell }},
        max(positives) as positive_count,
        max(negatives) as negative_count,
        cast(sum(positive_row_count) as bigint) as positive_row_count,
        cast(sum(negative_row_count) as bigint) as negative_row_count,
        count(*) as place_count,
        min(case when is_tied then 1 else 0 end) as is_tied,
        max(auc) as roc_auc,
        sum(case when is_tied then 0 else positive_count * negative_count end) / (2 * max(positives) * max(negatives)) as roc_auc_bound,
        sum(positive_weight_squares * (negatives_below_share - auc) * (negatives_below_share - auc)) / (max(positives) * max(positives))
            as positive_variance,
        sum(negative_weight_squares * (positives_above_share - auc) * (positives_above_share - auc)) / (max(negatives) * max(negatives))
            as negative_variance,
        sum(precision_sum) / max(positives) as average_precision,
        sum(precision_sum_low) / max(positives) as average_precision_low,
        sum(precision_sum_high) / max(positives) as average_precision_high,
        max(abs((positives_above + positive_count) / positives - (negatives_above + negative_count) / negatives)) as ks
    from {{ rows }}_told
    group by {{ cell }}

),

{{ rows }}_errors as (

    select
        *,
        case
            when positive_count is null or negative_count is null then 'one_class'
            when place_count = 1 and is_tied = 1 then 'equal_scores'
        end as reason,
        -- the variance by DeLong, DeLong and Clarke-Pearson
        sqrt(
            positive_variance * positive_row_count / nullif(positive_row_count - 1, 0)
            + negative_variance * negative_row_count / nullif(negative_row_count - 1, 0)
        ) as roc_auc_error
    from {{ rows }}_summed

),

{{ rows }}_shapes as (

    select
        {{ cell }},
        positive_row_count,
        negative_row_count,
        case when reason is null then roc_auc end as roc_auc,
        case
            when reason is null and least(positive_row_count, negative_row_count) >= 20 and roc_auc > 0 and roc_auc < 1
                then greatest(0, {{ logit_bound('roc_auc', 'roc_auc_error', '-') }} - roc_auc_bound)
        end as roc_auc_low,
        case
            when reason is null and least(positive_row_count, negative_row_count) >= 20 and roc_auc > 0 and roc_auc < 1
                then least(1, {{ logit_bound('roc_auc', 'roc_auc_error', '+') }} + roc_auc_bound)
        end as roc_auc_high,
        case when reason is null then roc_auc_bound end as roc_auc_bound,
        case when reason is null then roc_auc_error end as roc_auc_error,
        case when reason is null then average_precision end as average_precision,
        case when reason is null then average_precision_low end as average_precision_low,
        case when reason is null then average_precision_high end as average_precision_high,
        case when reason is null then ks end as ks,
        reason
    from {{ rows }}_errors

)
{%- endmacro %}

{# The lower (`-`) or upper (`+`) bound of the 95 % interval of a share strictly between 0 and 1 with this standard error, by its logit. #}
{% macro logit_bound(share, error, sign) -%}
    {#- exp of a large number is an error on some engines -#}
    1 / (1 + exp(least(greatest(
        -ln({{ share }} / (1 - {{ share }})) {{ '+' if sign == '-' else '-' }} {{ quantile_of_one() }} * {{ error }} / ({{ share }} * (1 - {{ share }})),
        -700
    ), 700)))
{%- endmacro %}

{# What the numbers of mart_model_quality mean where a convention could be another one, by task. #}
{% macro metric_convention(task) -%}
    case {{ task }}
        when 'regression' then 'bias is predicted minus actual; wape is absolute error over absolute actual; r2 against the mean of the period'
        when 'multiclass' then 'macro_f1 is the mean over classes that occur or are predicted'
        else
            'ties count half in roc_auc; average_precision by steps; log_loss clipped at 1e-15; brier_score of the positive class;'
            || ' calibration_error over frozen bins of the score, left-closed; zero over zero is NULL'
    end
{%- endmacro %}

{# A query of the days that two versions share, by period, from the CTEs `version_pairs` and `periods`. #}
{% macro days_of_pairs() -%}
    select
        version_pairs.model_id,
        version_pairs.model_version,
        version_pairs.compared_with,
        periods.period,
        periods.period_end_date,
        version_pairs.decision_date
    from version_pairs
    inner join periods
        on version_pairs.model_id = periods.model_id
        and version_pairs.decision_date >= periods.period_start_date
        and version_pairs.decision_date <= periods.period_end_date
{%- endmacro %}

{# Whether versions can be compared by the decisions of a bin: where the order of scores is judged these need a score and a class, else
   a label. #}
{% macro is_compared(bins, models) -%}
    case
        when {{ models }}.task in ('regression', 'multiclass') then {{ bins }}.matured_count > 0
        else not {{ bins }}.is_missing and {{ bins }}.positive_count + {{ bins }}.negative_count > 0
    end
{%- endmacro %}

{# CTE `cell_values`: what a decision in each cell of a model is worth on each day, from the CTEs `models`, `dates`, `unit_values` and
   `rates`. #}
{% macro cell_value_ctes() -%}
cell_values as (

    select
        models.model_id,
        {%- for cell in ['tp', 'fp', 'fn', 'tn'] %}
        max(case
            when unit_values.cell = '{{ cell }}'
                then {{ in_reporting_currency('unit_values.fixed_amount', 'unit_values.currency', 'rates.rate') }}
        end) as {{ cell }}_amount,
        max(case when unit_values.cell = '{{ cell }}' then unit_values.amount_coefficient end) as {{ cell }}_coefficient,
        {%- endfor %}
        dates.date_day
    from models
    cross join dates
    inner join unit_values
        on models.model_id = unit_values.model_id
        and {{ valid_at('unit_values', 'dates.date_day') }}
    left join rates
        on unit_values.currency = rates.currency
        and {{ valid_at('rates', 'dates.date_day') }}
    group by models.model_id, dates.date_day

)
{%- endmacro %}
