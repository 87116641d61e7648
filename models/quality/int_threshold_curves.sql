-- One row per model, period and threshold: what it would have selected, and what that would have been worth.
{%- set whole = 'partition by model_id, period, period_end_date' %}
{%- set summed = [
    'positive_count', 'negative_count', 'selected_count',
    'positive_selected_amount', 'positive_passed_amount', 'negative_selected_amount', 'negative_passed_amount', 'gain_square_sum',
    'explored_count', 'selected_inverse_weight', 'selected_inverse_weight_squares', 'selected_inverse_amount',
    'passed_inverse_weight', 'passed_inverse_weight_squares', 'passed_inverse_amount'
] %}
{%- set tolerance = setting('unit_value_tolerance') %}
with bin_periods as (

    select * from {{ ref('int_score_bin_periods') }}
    where model_version = 'all' and period in ('month', 'all')

),

edges as (

    select * from {{ ref('int_score_edges') }}
    where not is_missing

),

models as (

    select * from {{ ref('dim_models') }}
    where task in ('binary', 'ranking')

),

watermarks as (

    select
        model_id,
        max(case when source_name = 'amounts' then known_through end) as amounts_through
    from {{ ref('int_watermarks') }}
    group by model_id

),

newest_months as (

    select
        model_id,
        max(period_end_date) as period_end_date
    from bin_periods
    where period = 'month'
    group by model_id

),

-- the ledger's value of the period, of decisions without a score too
model_periods as (

    select
        bin_periods.model_id,
        bin_periods.period,
        bin_periods.period_start_date,
        bin_periods.period_end_date,
        sum(bin_periods.value_amount) as actual_value_amount,
        sum(bin_periods.valued_count) as valued_count
    from bin_periods
    inner join models on bin_periods.model_id = models.model_id
    left join newest_months
        on bin_periods.model_id = newest_months.model_id
        and bin_periods.period_end_date = newest_months.period_end_date
    where bin_periods.period = 'all' or newest_months.model_id is not null
    group by bin_periods.model_id, bin_periods.period, bin_periods.period_start_date, bin_periods.period_end_date

),

-- beside the edges, a threshold that selects nothing
cuts as (

    select
        model_id,
        bin_number,
        lower_edge,
        is_threshold_in_force,
        is_left_open,
        bin_number = 1 as selects_all,
        false as selects_none
    from edges
    union all
    select
        model_id,
        max(bin_number) + 1 as bin_number,
        cast(null as {{ type_double() }}) as lower_edge,
        false as is_threshold_in_force,
        false as is_left_open,
        false as selects_all,
        true as selects_none
    from edges
    group by model_id

),

cut_periods as (

    select
        model_periods.*,
        cuts.bin_number,
        cuts.lower_edge,
        cuts.is_threshold_in_force,
        cuts.is_left_open,
        cuts.selects_all,
        {%- for name in summed %}
        coalesce(bin_periods.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        cuts.selects_none
    from model_periods
    inner join cuts on model_periods.model_id = cuts.model_id
    left join bin_periods
        on model_periods.model_id = bin_periods.model_id
        and model_periods.period = bin_periods.period
        and model_periods.period_end_date = bin_periods.period_end_date
        and cuts.bin_number = bin_periods.bin_number

),

cumulated as (

    select
        model_id,
        period,
        period_start_date,
        period_end_date,
        bin_number,
        lower_edge,
        is_threshold_in_force,
        is_left_open,
        selects_all,
        selects_none,
        actual_value_amount,
        {%- for name in summed %}
        sum({{ name }}) over (
            {{ whole }}
            order by bin_number desc nulls last
            rows between unbounded preceding and current row
        ) as {{ name }}_from,
        sum({{ name }}) over ({{ whole }}) as {{ name }}_whole,
        {%- endfor %}
        valued_count
    from cut_periods

),

-- a cut above a value that is a bin of its own is no threshold: what is at a threshold is selected
counted as (

    select
        cumulated.*,
        cumulated.positive_count_whole + cumulated.negative_count_whole as judged_count,
        cumulated.positive_count_from as true_positive_count,
        cumulated.negative_count_from as false_positive_count,
        cumulated.positive_count_whole - cumulated.positive_count_from as false_negative_count,
        cumulated.negative_count_whole - cumulated.negative_count_from as true_negative_count,
        cumulated.positive_count_from + cumulated.negative_count_from - cumulated.selected_count_from
        + cumulated.selected_count_whole - cumulated.selected_count_from as changed_count,
        cumulated.positive_selected_amount_from as tp_amount,
        cumulated.negative_selected_amount_from as fp_amount,
        cumulated.positive_passed_amount_whole - cumulated.positive_passed_amount_from as fn_amount,
        cumulated.negative_passed_amount_whole - cumulated.negative_passed_amount_from as tn_amount,
        cumulated.selected_inverse_weight_from + cumulated.passed_inverse_weight_whole - cumulated.passed_inverse_weight_from
            as matched_weight,
        cumulated.selected_inverse_weight_squares_from
        + cumulated.passed_inverse_weight_squares_whole - cumulated.passed_inverse_weight_squares_from as matched_weight_squares,
        cumulated.selected_inverse_amount_from + cumulated.passed_inverse_amount_whole - cumulated.passed_inverse_amount_from
            as matched_amount,
        coalesce(cumulated.period_end_date > watermarks.amounts_through, false) as lacks_amounts,
        count(*) over (partition by cumulated.model_id, cumulated.period, cumulated.period_end_date) as cut_count,
        models.outcome_depends_on_action
    from cumulated
    inner join models on cumulated.model_id = models.model_id
    left join watermarks on cumulated.model_id = watermarks.model_id
    where not cumulated.is_left_open and cumulated.positive_count_whole + cumulated.negative_count_whole > 0

),

reasoned as (

    select
        *,
        tp_amount + fp_amount + fn_amount + tn_amount as labelled_amount,
        case
            when outcome_depends_on_action and changed_count > 1e-9 * judged_count then 'outcome_not_observed'
        end as reason,
        case
            when lacks_amounts then {{ not_delivered('business_outcomes', 'amounts') }}
            when valued_count < judged_count * (1 - 1e-9) then 'cell_not_valued'
        end as unvalued_reason,
        -- an effective hundred of decisions, and hardly any that could not have been another
        matched_weight * matched_weight >= 100 * matched_weight_squares and matched_weight > 0
        and explored_count_whole >= 0.95 * judged_count as is_explored
    from counted

),

in_force as (

    select * from reasoned
    where is_threshold_in_force

),

compared as (

    select
        reasoned.*,
        in_force.lower_edge as threshold_in_force,
        case when in_force.reason is null and in_force.unvalued_reason is null then in_force.labelled_amount end as value_in_force_amount,
        reasoned.labelled_amount - in_force.labelled_amount as gain_amount,
        greatest(
            abs(reasoned.tp_amount - in_force.tp_amount), abs(reasoned.fp_amount - in_force.fp_amount),
            abs(reasoned.fn_amount - in_force.fn_amount), abs(reasoned.tn_amount - in_force.tn_amount)
        ) * {{ tolerance }} as gain_band,
        {{ normal_quantile('1 - 0.05 / (2 * reasoned.cut_count)') }}
        * sqrt(abs(reasoned.gain_square_sum_from - in_force.gain_square_sum_from)) as gain_noise,
        case
            when in_force.model_id is null then 'no_threshold'
            when reasoned.outcome_depends_on_action then 'outcome_not_observed'
            else reasoned.unvalued_reason
        end as money_left_reason
    from reasoned
    left join in_force
        on reasoned.model_id = in_force.model_id
        and reasoned.period = in_force.period
        and reasoned.period_end_date = in_force.period_end_date

),

-- among thresholds that are better beyond noise, the one that earns most; where none is, the one in force stays the best
ranked as (

    select
        *,
        row_number() over (
            {{ whole }}
            order by
                case when gain_amount > gain_noise then 0 when is_threshold_in_force then 1 else 2 end,
                case when gain_amount > gain_noise then gain_amount end desc nulls last,
                bin_number nulls last
        ) = 1 and money_left_reason is null as is_best
    from compared

),

best as (

    select * from ranked
    where is_best

),

threshold_curves as (

    select
        ranked.model_id,
        ranked.period,
        ranked.bin_number as threshold_number,
        ranked.lower_edge as threshold,
        ranked.threshold_in_force,
        best.lower_edge as best_threshold,
        ranked.judged_count,
        {%- for name in ['true_positive_count', 'false_positive_count', 'false_negative_count', 'true_negative_count'] %}
        case when ranked.reason is null then ranked.{{ name }} end as {{ name }},
        {%- endfor %}
        ranked.changed_count,
        (ranked.true_positive_count + ranked.false_positive_count) / ranked.judged_count as selected_share,
        case
            when ranked.unvalued_reason is not null then null
            when ranked.reason is null then ranked.labelled_amount
            when ranked.is_explored then ranked.judged_count * ranked.matched_amount / ranked.matched_weight
        end as value_amount,
        case
            when ranked.unvalued_reason is null and ranked.reason is null
                then greatest(abs(ranked.tp_amount), abs(ranked.fp_amount), abs(ranked.fn_amount), abs(ranked.tn_amount)) * {{ tolerance }}
        end as value_band,
        ranked.value_in_force_amount,
        case when not ranked.lacks_amounts then ranked.actual_value_amount end as actual_value_amount,
        case when ranked.money_left_reason is null then case when best.gain_amount > best.gain_noise then best.gain_amount else 0 end end
            as money_left_amount,
        case when ranked.money_left_reason is null and best.gain_amount > best.gain_noise then best.gain_band end as money_left_band,
        case
            when ranked.unvalued_reason is not null then ranked.unvalued_reason
            when ranked.reason is not null and not ranked.is_explored then ranked.reason
        end as value_reason,
        ranked.reason,
        case
            when ranked.money_left_reason is not null then ranked.money_left_reason
            when best.gain_amount > best.gain_noise then null
            else 'not_beyond_noise'
        end as money_left_reason,
        ranked.unvalued_reason is null and ranked.reason is not null and ranked.is_explored as is_reweighted,
        ranked.is_threshold_in_force,
        ranked.is_best,
        ranked.selects_all,
        ranked.selects_none,
        ranked.period_start_date,
        ranked.period_end_date
    from ranked
    left join best
        on ranked.model_id = best.model_id
        and ranked.period = best.period
        and ranked.period_end_date = best.period_end_date

)

select * from threshold_curves
