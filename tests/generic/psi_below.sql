{% test psi_below(model, column_name, reference, now, maximum=0.1, bins=10, minimum_count=100) %}
{# The population stability index of a number between the rows where `reference` holds and those where `now` does, if it is at least
   `maximum` beyond what chance alone makes of so many rows. Bins are quantiles of the reference; what is missing is one. Fewer rows
   than `minimum_count` on a side say nothing. #}
with sided as (

    select
        'reference' as side,
        cast({{ column_name }} as {{ type_double() }}) as number
    from {{ model }}
    where {{ reference }}
    union all
    select
        'now' as side,
        cast({{ column_name }} as {{ type_double() }}) as number
    from {{ model }}
    where {{ now }}

),

ordered as (

    select
        number,
        cume_dist() over (order by number nulls last) as rank_share
    from sided
    where side = 'reference' and number is not null

),

quantiles as (

    {%- for place in range(1, bins) %}
    select min(number) as edge from ordered where rank_share >= {{ place }} / {{ bins }}.0
    {{ 'union' if not loop.last }}
    {%- endfor %}

),

numbered as (

    select
        edge,
        row_number() over (order by edge nulls last) as place
    from quantiles
    where edge is not null

),

edges as (

    select
        {%- for place in range(1, bins) %}
        max(case when place = {{ place }} then edge end) as edge_{{ place }}{{ ',' if not loop.last }}
        {%- endfor %}
    from numbered

),

binned as (

    select
        sided.side,
        case when sided.number is null then -1 else 0
            {%- for place in range(1, bins) %}
            + case when sided.number >= edges.edge_{{ place }} then 1 else 0 end
            {%- endfor %}
        end as bin
    from sided
    cross join edges

),

sizes as (

    select
        sum(case when side = 'reference' then 1.0 else 0 end) as reference_count,
        sum(case when side = 'now' then 1.0 else 0 end) as now_count
    from binned

),

{#- a bin that is empty on a side counts as half a row -#}
shares as (

    select
        binned.bin,
        greatest(sum(case when binned.side = 'reference' then 1.0 else 0 end), 0.5) / max(sizes.reference_count) as reference_share,
        greatest(sum(case when binned.side = 'now' then 1.0 else 0 end), 0.5) / max(sizes.now_count) as now_share
    from binned
    cross join sizes
    where sizes.reference_count > 0 and sizes.now_count > 0
    group by binned.bin

),

measured as (

    select
        max(sizes.reference_count) as reference_count,
        max(sizes.now_count) as now_count,
        sum((shares.now_share - shares.reference_share) * ln(shares.now_share / shares.reference_share)) as psi,
        (count(*) - 1) * (1 / max(sizes.reference_count) + 1 / max(sizes.now_count)) as noise
    from shares
    cross join sizes

)

select *
from measured
where psi - noise >= {{ maximum }} and reference_count >= {{ minimum_count }} and now_count >= {{ minimum_count }}
{% endtest %}
