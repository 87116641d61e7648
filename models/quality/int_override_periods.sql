-- One row per model, version, segment, segment value and judged period: decisions that users made otherwise, and what that was worth.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value'] %}
{%- set values = {'all': "'all'", 'model_version': "'all'"} %}
{%- for segment in setting('segments') %}
{%- do values.update({segment: 'coalesce(' ~ segment ~ ", '(unknown)')"}) %}
{%- endfor %}
{%- do values.update({'override_reason': 'shown_reason'}) %}
{%- set unknowns = override_unknowns() %}
{%- set user_number = safe_cast_to('double', 'decisions.final_decision', '') %}
with decisions as (

    select * from {{ ref('fct_decisions') }}
    where user_action in ('overridden', 'edited')

),

models as (

    select * from {{ ref('dim_models') }}

),

periods as (

    select * from {{ ref('int_judged_periods') }}
    where period in ('month', 'all')

),

read_decisions as (

    select
        decisions.*,
        models.task = 'regression' as is_number,
        models.outcome_depends_on_action,
        case when models.task = 'regression' then {{ user_number }} end as user_number,
        case
            when models.task = 'regression' then null
            when models.task = 'multiclass' and models.positive_label is null then true
            else {{ says_positive('decisions.final_decision', 'models.positive_label') }} is not null
        end as says_a_class
    from decisions
    inner join models on decisions.model_id = models.model_id

),

-- a person's gain: in money, or for numbers how much closer theirs came
compared as (

    select
        *,
        case
            when outcome_depends_on_action then 'outcome_depends_on_action'
            when final_decision is null then 'no_final_decision'
            when not coalesce(says_a_class, abs(user_number) < 1e150) or (is_number and user_number is null) then 'final_decision_not_read'
            when label_state <> 'matured' or (is_number and measured_count = 0) then 'no_label'
            when not is_number and (user_value_amount is null or value_amount is null) then 'cell_not_valued'
        end as unknown_reason,
        case
            when is_number then sampling_weight * (abs(predicted_value - actual_value) - abs(user_number - actual_value))
            else user_value_amount - value_amount
        end as gain
    from read_decisions

),

common_reasons as (

    select
        model_id,
        override_reason
    from compared
    where override_reason is not null
    group by model_id, override_reason
    having count(*) >= {{ setting('minimum_cell') }}

),

-- words that few used could tell who they were
named as (

    select
        compared.*,
        case
            when common_reasons.override_reason is not null then compared.override_reason
            when compared.override_reason is not null then '(other)'
            else '(unknown)'
        end as shown_reason
    from compared
    left join common_reasons
        on compared.model_id = common_reasons.model_id
        and compared.override_reason = common_reasons.override_reason

),

spread as (

    {% for segment in values -%}
    select
        model_id,
        {{ "coalesce(model_version, '(none)')" if segment == 'model_version' else "'all'" }} as model_version,
        '{{ 'all' if segment == 'model_version' else segment }}' as segment_name,
        {{ values[segment] }} as segment_value,
        coalesce(user_id, '(unknown)') as user_id,
        user_action,
        unknown_reason,
        sampling_weight,
        gain,
        decision_date
    from named
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

by_user as (

    select
        {%- for name in cell %}
        spread.{{ name }},
        {%- endfor %}
        periods.period,
        periods.period_end_date,
        spread.user_id,
        count(*) as row_count,
        count(case when spread.unknown_reason is null then 1 end) as compared_row_count,
        sum(spread.sampling_weight) as overridden_count,
        sum(case when spread.user_action = 'edited' then spread.sampling_weight else 0 end) as edited_count,
        {%- for reason in unknowns %}
        sum(case when spread.unknown_reason = '{{ reason }}' then spread.sampling_weight else 0 end) as {{ reason }}_count,
        {%- endfor %}
        sum(case when spread.unknown_reason is null then spread.sampling_weight else 0 end) as compared_count,
        sum(case when spread.unknown_reason is null then spread.gain else 0 end) as gain
    from spread
    inner join periods
        on spread.model_id = periods.model_id
        and spread.decision_date >= periods.period_start_date
        and spread.decision_date <= periods.period_end_date
    group by
        {%- for name in cell %}
        spread.{{ name }},
        {%- endfor %}
        periods.period,
        periods.period_end_date,
        spread.user_id

),

centred as (

    select
        *,
        {{ safe_ratio(
            'sum(gain) over (partition by ' ~ cell | join(', ') ~ ', period, period_end_date)',
            'sum(compared_count) over (partition by ' ~ cell | join(', ') ~ ', period, period_end_date)'
        ) }} as mean_gain
    from by_user

),

summed as (

    select
        {{ cell | join(', ') }},
        period,
        period_end_date,
        sum(row_count) as row_count,
        sum(compared_row_count) as compared_row_count,
        count(case when compared_row_count > 0 then 1 end) as user_count,
        sum(overridden_count) as overridden_count,
        sum(edited_count) as edited_count,
        {%- for reason in unknowns %}
        sum({{ reason }}_count) as {{ reason }}_count,
        {%- endfor %}
        sum(compared_count) as compared_count,
        sum(gain) as gain,
        sum((gain - mean_gain * compared_count) * (gain - mean_gain * compared_count)) as residual_square_sum
    from centred
    group by {{ cell | join(', ') }}, period, period_end_date

),

-- the total of every model, also of one whose users made nothing otherwise
cells as (

    select {{ cell | join(', ') }}
    from spread
    union
    select
        model_id,
        'all' as model_version,
        'all' as segment_name,
        'all' as segment_value
    from periods

),

override_periods as (

    select
        {%- for name in cell %}
        cells.{{ name }},
        {%- endfor %}
        periods.period,
        {%- for name in ['row_count', 'compared_row_count', 'user_count'] %}
        cast(coalesce(summed.{{ name }}, 0) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in ['overridden_count', 'edited_count'] %}
        cast(coalesce(summed.{{ name }}, 0) as {{ type_double() }}) as {{ name }},
        {%- endfor %}
        {%- for reason in unknowns %}
        cast(coalesce(summed.{{ reason }}_count, 0) as {{ type_double() }}) as {{ reason }}_count,
        {%- endfor %}
        cast(coalesce(summed.compared_count, 0) as {{ type_double() }}) as compared_count,
        case when summed.compared_row_count > 0 then summed.gain end as gain,
        {{ safe_ratio('summed.gain', 'summed.compared_count') }} as mean_gain,
        -- users differ more than their decisions do
        sqrt(
            summed.residual_square_sum * summed.user_count / nullif(summed.user_count - 1, 0)
        ) / nullif(summed.compared_count, 0) as mean_gain_error,
        periods.period_start_date,
        periods.period_end_date
    from cells
    inner join periods on cells.model_id = periods.model_id
    left join summed
        on periods.period = summed.period
        and periods.period_end_date = summed.period_end_date
        {%- for name in cell %}
        and cells.{{ name }} = summed.{{ name }}
        {%- endfor %}

)

select * from override_periods
