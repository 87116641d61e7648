-- One row per kind of expectation and who holds it: whether what came was as much as was expected.
{%- set holders = {'all': "'all'", 'owner': "coalesce(owner, '(none)')", 'team': "coalesce(team, '(none)')"} %}
{%- set keys = ['expectation_kind', 'holder_type', 'holder'] %}
with expectations as (

    select * from {{ ref('mart_expectations') }}

),

held as (
    {% for kind in ['expectation_kind', "'all'"] %}
    {%- set last_kind = loop.last %}
    {%- for type, holder in holders.items() %}
    select
        {{ kind }} as expectation_kind,
        '{{ type }}' as holder_type,
        {{ holder }} as holder,
        outcome,
        gap_share,
        is_in_range
    from expectations
    {{ 'union all' if not (last_kind and loop.last) }}
    {%- endfor %}
    {%- endfor %}

),

counted as (

    select
        {{ keys | join(', ') }},
        count(*) as expectation_count,
        {%- for outcome in ['open', 'undecided', 'met', 'missed'] %}
        sum(case when outcome = '{{ outcome }}' then 1 else 0 end) as {{ outcome }}_count,
        {%- endfor %}
        count(gap_share) as graded_count,
        avg(gap_share) as bias,
        sum(case when is_in_range then 1 else 0 end) as in_range_count,
        sum(case when is_in_range is not null then 1 else 0 end) as range_count
    from held
    group by {{ keys | join(', ') }}

),

spread as (

    select
        {%- for key in keys %}
        held.{{ key }},
        {%- endfor %}
        sum({{ square('(held.gap_share - counted.bias)') }}) as gap_squares
    from held
    inner join counted
        on held.expectation_kind = counted.expectation_kind
        and held.holder_type = counted.holder_type
        and held.holder = counted.holder
    group by held.{{ keys | join(', held.') }}

),

measured as (

    select
        counted.*,
        {{ safe_ratio('counted.in_range_count', 'counted.range_count') }} as coverage,
        spread.gap_squares,
        greatest(counted.graded_count - 1, 1) as freedom
    from counted
    inner join spread
        on counted.expectation_kind = spread.expectation_kind
        and counted.holder_type = spread.holder_type
        and counted.holder = spread.holder

),

widened as (

    select
        *,
        case when graded_count >= 5 then {{ t_quantile('freedom') }} * sqrt(gap_squares / freedom / graded_count) end as half_width
    from measured

),

forecast_grades as (

    select
        {{ keys | join(', ') }},
        case when half_width is null then 'too_few_expectations' end as reason,
        {%- for name in ['expectation', 'open', 'undecided', 'met', 'missed', 'graded', 'range'] %}
        cast({{ name }}_count as bigint) as {{ name }}_count,
        {%- endfor %}
        bias,
        bias - half_width as bias_low,
        bias + half_width as bias_high,
        coverage,
        {%- for side, sign in [('low', '-'), ('high', '+')] %}
        case when range_count > 0 then {{ wilson_bound('coverage', 'cast(nullif(range_count, 0) as ' ~ type_double() ~ ')', sign) }} end
            as coverage_{{ side }},
        {%- endfor %}
        bias + half_width < 0 as is_optimistic
    from widened

)

select * from forecast_grades
