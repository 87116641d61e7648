-- One row per model, version, segment, segment value and month or all judged days: who was right where users decided otherwise.
{%- set cell = ['model_id', 'model_version', 'segment_name', 'segment_value', 'period', 'period_end_date'] %}
{%- set cell_set = 'model_id, model_version, segment_name, period, period_end_date' %}
{%- set counts = ['overridden', 'edited'] + override_unknowns() + ['compared'] %}
{%- set unknown_counts = [] %}
{%- for name in override_unknowns() %}
{%- do unknown_counts.append(name ~ '_count') %}
{%- endfor %}
{%- set margin = t_quantile('user_count - 1') ~ ' * mean_gain_error' %}
with override_periods as (

    select
        *,
        row_count as unit_count
    from {{ ref('int_override_periods') }}

),

models as (

    select * from {{ ref('dim_models') }}

),

private_cells as (

    select * from {{ ref('int_hidden_cells') }}
    where counted_brick = 'decisions_rows'

),

watermarks as (

    select * from {{ ref('int_watermarks') }}
    where source_name = 'usage_events'

),

ranked as (

    {{ ranked_cells('override_periods', cell_set, 'segment_value') }}

),

-- segments obey the rule of all sums of decisions, and among decisions that were overridden one of their own
guarded as (

    select
        ranked.*,
        models.task = 'regression' as is_number,
        coalesce(ranked.period_end_date <= watermarks.known_through, false) as is_delivered,
        ranked.segment_name <> 'all'
        and (private_cells.model_id is not null or ({{ is_hidden_cell() }})) as is_private
    from ranked
    inner join models on ranked.model_id = models.model_id
    left join watermarks on ranked.model_id = watermarks.model_id
    left join private_cells
        on ranked.model_id = private_cells.model_id
        and ranked.segment_name = private_cells.segment_name
        and ranked.segment_value = private_cells.segment_value
        and ranked.period = private_cells.period
        and ranked.period_end_date = private_cells.period_end_date

),

reasoned as (

    select
        *,
        case
            when is_private then 'private'
            when not is_delivered then {{ not_delivered('usage_events') }}
            when row_count = 0 then 'no_data'
            -- what was said, and what happened, would choose who is compared
            {%- for name in ['final_decision_not_read', 'cell_not_valued'] %}
            when compared_count > 0 and 10 * {{ name }}_count > {{ name }}_count + compared_count then '{{ name }}'
            {%- endfor %}
            when compared_row_count > 0 and compared_row_count < {{ setting('minimum_cell') }} then 'too_few_units'
            when compared_row_count > 0 then null
            -- what keeps most of them from being compared
            {%- for name in override_unknowns() %}
            when {{ name }}_count >= greatest({{ unknown_counts | join(', ') }}) then '{{ name }}'
            {%- endfor %}
        end as reason
    from guarded

),

bounded as (

    select
        *,
        case
            when reason is not null then reason
            when user_count < 10 then 'too_few_users'
            when compared_row_count < 200 then 'too_few_units'
        end as interval_reason
    from reasoned

),

override_regret as (

    select
        {%- for name in cell[:-1] %}
        {{ name }},
        {%- endfor %}
        case when is_number then 'error' else cast('{{ setting("reporting_currency") }}' as {{ dbt.type_string() }}) end as unit,
        case
            when interval_reason is not null then null
            when mean_gain > {{ margin }} then 'person'
            when -mean_gain > {{ margin }} then 'model'
            else 'undecided'
        end as who_was_right,
        reason,
        interval_reason,
        {%- for name in counts %}
        case when is_delivered and not is_private then {{ name }}_count end as {{ name }}_count,
        {%- endfor %}
        case when is_delivered and not is_private then user_count end as user_count,
        case when reason is null then gain end as gain_amount,
        case when reason is null then mean_gain end as mean_gain,
        case when interval_reason is null then mean_gain - {{ margin }} end as mean_gain_low,
        case when interval_reason is null then mean_gain + {{ margin }} end as mean_gain_high,
        period_start_date,
        period_end_date
    from bounded

)

select * from override_regret
