{% test valid_split(model, column_name) %}
{# Splits that cannot be read, hold no control or do not sum to 1. #}
with {{ part_ctes(model, column_name) }},

shares as (

    select
        experiment_id,
        trim(split_part(part, ':', 1)) as variant,
        case when split_part(part, ':', 3) = '' then {{ safe_cast_to('double', "split_part(part, ':', 2)", '') }} end as share
    from parts

),

splits as (

    select
        experiment_id,
        count(*) as part_count,
        count(case when variant <> '' then share end) as read_count,
        count(distinct variant) as variant_count,
        count(case when share > 0 then share end) as planned_count,
        min(share) as smallest_share,
        sum(share) as total_share
    from shares
    group by experiment_id

),

planned as (

    select distinct
        experiment_id,
        variant
    from shares
    where share > 0

),

judged as (

    select
        experiments.*,
        case
            when splits.read_count < splits.part_count then 'is not written as variant:share;variant:share'
            when splits.variant_count < splits.part_count then 'names a variant twice'
            when splits.smallest_share < 0 then 'has a negative share'
            when splits.planned_count < 2 then 'has fewer than two variants'
            when abs(splits.total_share - 1) > 1e-6 then 'does not sum to 1'
            when planned.variant is null then 'lacks the control ' || experiments.control_variant
        end as fault
    from {{ model }} as experiments
    inner join splits on experiments.experiment_id = splits.experiment_id
    left join planned
        on experiments.experiment_id = planned.experiment_id
        and experiments.control_variant = planned.variant

)

select
    *,
    'split ' || {{ column_name }} || ' of ' || experiment_id || ' ' || fault as what,
    'Write it like control:0.5;treatment:0.5.' as fix
from judged
where fault is not null
{% endtest %}
