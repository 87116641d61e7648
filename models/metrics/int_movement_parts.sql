-- One row per metric, model, period, dimension, part and effect: how much it contributes to the change since the period before.
{%- set cell = ['metric', 'model_id', 'period', 'period_end_date'] %}
{%- set sums = ['numerator', 'denominator', 'previous_numerator', 'previous_denominator'] %}
with metric_values as (

    select * from {{ ref('fct_metric_values') }}
    where is_additive and period in ('28d', 'month')

),

restated_values as (

    select * from {{ ref('int_restated_values') }}

),

compared as (

    select * from {{ ref('int_metric_changes') }}
    where reason is null

),

cells as (

    select
        *,
        case when model_version = 'all' then segment_name else 'version' end as dimension,
        case when model_version = 'all' then segment_value else model_version end as part
    from metric_values
    where segment_name <> 'all' or model_version <> 'all'

),

paired_cells as (

    select
        {%- for name in cell %}
        compared.{{ name }},
        {%- endfor %}
        cells.dimension,
        cells.part,
        sum(case when cells.numerator is null then 1 else 0 end) as hidden_sides,
        coalesce(sum(case when cells.period_end_date = compared.period_end_date then cells.numerator end), 0) as numerator,
        coalesce(sum(case when cells.period_end_date = compared.period_end_date then cells.denominator end), 0) as denominator,
        coalesce(sum(case when cells.period_end_date = compared.previous_end_date then cells.numerator end), 0) as previous_numerator,
        coalesce(sum(case when cells.period_end_date = compared.previous_end_date then cells.denominator end), 0) as previous_denominator
    from compared
    inner join cells
        on compared.metric = cells.metric
        and compared.model_id = cells.model_id
        and compared.period = cells.period
        and cells.period_end_date in (compared.period_end_date, compared.previous_end_date)
    group by
        {%- for name in cell %}
        compared.{{ name }},
        {%- endfor %}
        cells.dimension,
        cells.part

),

shown_cells as (

    select
        {{ cell | join(', ') }},
        {{ sums | join(', ') }},
        dimension,
        part
    from paired_cells
    where hidden_sides = 0

),

-- what no shown cell holds: hidden cells, and rows that no cell names
rests as (

    select
        {%- for name in cell %}
        compared.{{ name }},
        {%- endfor %}
        {%- for name in sums %}
        coalesce(max(compared.{{ name }}), 0) - sum(shown_cells.{{ name }}) as {{ name }},
        {%- endfor %}
        shown_cells.dimension,
        '(hidden)' as part
    from compared
    inner join shown_cells
        on compared.metric = shown_cells.metric
        and compared.model_id = shown_cells.model_id
        and compared.period = shown_cells.period
        and compared.period_end_date = shown_cells.period_end_date
    group by
        {%- for name in cell %}
        compared.{{ name }},
        {%- endfor %}
        shown_cells.dimension

),

parts as (

    select * from shown_cells
    union all
    select * from rests

),

shares as (

    select
        parts.*,
        compared.is_ratio,
        {{ safe_ratio('compared.numerator', 'compared.denominator') }} as total_rate,
        {{ safe_ratio('compared.previous_numerator', 'compared.previous_denominator') }} as previous_total_rate,
        {{ safe_ratio('parts.numerator', 'compared.denominator') }} as brought,
        {{ safe_ratio('parts.previous_numerator', 'compared.previous_denominator') }} as previously_brought,
        {{ safe_ratio('parts.denominator', 'compared.denominator') }} as weight,
        {{ safe_ratio('parts.previous_denominator', 'compared.previous_denominator') }} as previous_weight,
        {{ safe_ratio('parts.numerator', 'parts.denominator') }} as own_rate,
        {{ safe_ratio('parts.previous_numerator', 'parts.previous_denominator') }} as previous_own_rate
    from parts
    inner join compared
        on parts.metric = compared.metric
        and parts.model_id = compared.model_id
        and parts.period = compared.period
        and parts.period_end_date = compared.period_end_date
    where
        -- what is nothing on both sides, but for rounding, is no part
        {%- for name in sums %}
        {{ 'or ' if not loop.first }}abs(parts.{{ name }}) > 1e-9 * abs(coalesce(compared.{{ name }}, 0))
        {%- endfor %}

),

-- the midpoint between the two periods; a side that is absent has the rate of the other
midpoints as (

    select
        *,
        (coalesce(own_rate, previous_own_rate, 0) + coalesce(previous_own_rate, own_rate, 0)) / 2 as mean_rate,
        (total_rate + previous_total_rate) / 2 as mean_total_rate
    from shares

),

effects as (

    select
        {{ cell | join(', ') }},
        dimension,
        part,
        'rate' as effect,
        own_rate as value,
        previous_own_rate as previous_value,
        brought - previously_brought - mean_rate * (weight - previous_weight) as contribution
    from midpoints
    where is_ratio
    union all
    select
        {{ cell | join(', ') }},
        dimension,
        part,
        'mix' as effect,
        weight as value,
        previous_weight as previous_value,
        (mean_rate - mean_total_rate) * (weight - previous_weight) as contribution
    from midpoints
    where is_ratio
    union all
    select
        {{ cell | join(', ') }},
        dimension,
        part,
        'volume' as effect,
        numerator as value,
        previous_numerator as previous_value,
        numerator - previous_numerator as contribution
    from midpoints
    where not is_ratio

),

restated as (

    select
        compared.*,
        case when compared.is_ratio then compared.denominator else 1 end as units,
        case when compared.is_ratio then compared.previous_denominator else 1 end as previous_units,
        restated_values.at_own_values_amount,
        restated_values.at_earlier_rates_amount,
        restated_values.at_earlier_values_amount
    from compared
    inner join restated_values
        on compared.model_id = restated_values.model_id
        and compared.period = restated_values.period
        and compared.period_end_date = restated_values.period_end_date
    where compared.numerator_brick = 'decision_value'

),

definition_effects as (

    {%- for part, after, before in [
        ('exchange_rates', 'at_own_values_amount', 'at_earlier_rates_amount'),
        ('unit_values', 'at_earlier_rates_amount', 'at_earlier_values_amount'),
        ('decisions', 'numerator - at_own_values_amount + at_earlier_values_amount', none),
    ] %}
    select
        {{ cell | join(', ') }},
        'definition' as dimension,
        '{{ part }}' as part,
        'restatement' as effect,
        ({{ after }}) / units as value,
        {{ before or 'previous_numerator' }} / {{ 'units' if before else 'previous_units' }} as previous_value,
        ({{ after }}) / units - {{ before or 'previous_numerator' }} / {{ 'units' if before else 'previous_units' }} as contribution
    from restated
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

movement_parts as (

    select * from effects
    union all
    select * from definition_effects

)

select * from movement_parts
