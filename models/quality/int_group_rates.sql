-- One row per model, version, protected attribute or pair of them, group, month or all judged days: its rates, or why there are none.
{%- set rates = group_rates() %}
{%- set cell = ['model_id', 'model_version', 'attribute', 'group_value', 'other_value'] %}
{%- set counts = ['matured_count', 'true_positive_count', 'false_positive_count', 'false_negative_count', 'true_negative_count'] %}
with group_periods as (

    select * from {{ ref('int_group_periods') }}

),

group_tables as (

    {{ group_table_rows() }}

),

group_cells as (

    select * from {{ ref('fct_group_cells') }}
    where decision_date < {{ as_of_date() }}

),

hidden_groups as (

    select * from {{ ref('int_hidden_groups') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

spans as (

    select * from {{ ref('int_model_spans') }}

),

watermarks as (

    select * from {{ ref('int_watermarks') }}

),

deliveries as (

    select
        model_id,
        min(case when source_name = 'prediction_logs' then known_through end) as predictions_known_through,
        min(case when source_name = 'labels' then known_through end) as labels_known_through
    from watermarks
    group by model_id

),

group_sizes as (

    select
        group_cells.model_id,
        group_cells.attribute,
        group_cells.group_value,
        group_cells.other_value,
        sum(group_cells.decision_count) as decision_count,
        max(case when {{ may_be_reference('group_tables', 'group_cells') }} then 1 else 0 end) as may_be_reference
    from group_cells
    inner join group_tables on group_cells.attribute = group_tables.attribute
    group by group_cells.model_id, group_cells.attribute, group_cells.group_value, group_cells.other_value

),

-- the largest of all days, among those that the setting leaves
ranked_groups as (

    select
        *,
        row_number() over (
            partition by model_id, attribute
            order by decision_count desc nulls last, group_value asc nulls last, other_value asc nulls last
        ) as place
    from group_sizes
    where may_be_reference = 1

),

reasoned as (

    select
        group_periods.*,
        coalesce(ranked_groups.place = 1, false) as is_reference,
        case
            when hidden_groups.hides_table then 'private_table'
            when hidden_groups.model_id is not null then 'private'
            when group_periods.period_start_date < spans.first_decision_date then 'partial_window'
            when group_periods.period_end_date > deliveries.predictions_known_through then 'prediction_logs_not_delivered'
            when group_periods.row_count = 0 then 'no_data'
        end as closed_reason,
        case
            when group_periods.period_end_date > {{ last_matured_date('models') }} then 'labels_not_matured'
            when group_periods.period_end_date > deliveries.labels_known_through then {{ not_delivered('business_outcomes', 'labels') }}
            when group_periods.positive_rows + group_periods.negative_rows = 0 then 'nothing_to_judge'
        end as open_label_reason
    from group_periods
    inner join models on group_periods.model_id = models.model_id
    inner join spans on group_periods.model_id = spans.model_id
    left join deliveries on group_periods.model_id = deliveries.model_id
    left join hidden_groups
        on group_periods.period = hidden_groups.period
        and group_periods.period_end_date = hidden_groups.period_end_date
        {%- for name in cell %}
        and group_periods.{{ name }} = hidden_groups.{{ name }}
        {%- endfor %}
    left join ranked_groups
        on group_periods.model_id = ranked_groups.model_id
        and group_periods.attribute = ranked_groups.attribute
        and group_periods.group_value = ranked_groups.group_value
        and group_periods.other_value = ranked_groups.other_value
        and ranked_groups.place = 1

),

shares as (

    select
        *,
        coalesce(closed_reason, open_label_reason) as label_gap,
        {%- for rate in rates %}
        case
            when
                closed_reason is null
                and {{ rate.get('rows', rate.over ~ '_rows') }} >= {{ setting('minimum_cell') }}
                {%- if rate.over != 'decision' %}
                and open_label_reason is null
                {%- endif %}
                then {{ safe_ratio(rate.part, '(' ~ rate.whole ~ ')') }}
        end as {{ rate.name }},
        -- Kish's number of decisions: what as many equal weights would tell
        {{ safe_ratio('(' ~ rate.whole ~ ') * (' ~ rate.whole ~ ')', rate.over ~ '_squares') }} as {{ rate.name }}_units,
        {%- endfor %}
        coalesce(closed_reason, open_label_reason) is null and scored_rows >= {{ setting('minimum_cell') }} as has_scores
    from reasoned

),

group_rates as (

    select
        {{ cell | join(',\n        ') }},
        period,
        coalesce(
            closed_reason, case when row_count < {{ setting('minimum_cell') }} then 'too_few_units' end
        ) as reason,
        coalesce(
            label_gap, case when positive_rows < {{ setting('minimum_cell') }} then 'too_few_units' end
        ) as label_reason,
        case when closed_reason is null then row_count end as row_count,
        case when closed_reason is null then decision_count end as decision_count,
        case when closed_reason is null then selected_count end as selected_count,
        {%- for name in counts %}
        case when label_gap is null then {{ name }} end as {{ name }},
        {%- endfor %}
        {%- for rate in rates %}
        {{ rate.name }},
        {%- for side, sign in [('low', '-'), ('high', '+')] %}
        case
            when {{ rate.name }} is not null
                then {{ wilson_bound(rate.name, rate.name ~ '_units', sign) }}
        end as {{ rate.name }}_{{ side }},
        {%- if rate.name in ['true_positive_rate', 'false_positive_rate'] %}
        case
            when {{ rate.name }} is not null
                then {{ wilson_bound(rate.name, rate.name ~ '_units', sign, quantile_of_two()) }}
        end as {{ rate.name }}_wide_{{ side }},
        {%- endif %}
        {%- endfor %}
        case when {{ rate.name }} is not null then {{ rate.name }}_units end as {{ rate.name }}_units,
        {%- endfor %}
        case when has_scores then {{ safe_ratio('score_sum', 'scored_count') }} end as mean_score,
        case when has_scores then {{ safe_ratio('scored_positive_count', 'scored_count') }} end as observed_share,
        is_reference,
        period_start_date,
        period_end_date
    from shares

)

select * from group_rates
