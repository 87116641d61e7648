-- One row: the card of the metric.
select
    label,
    formula_in_words,
    formula,
    unit,
    direction,
    words(kind) as kind,
    words(io_class) as io_class,
    pillar,
    tier,
    owner,
    words(review_state) as review_state,
    is_certified,
    rationale,
    so_what
from mart_metric_catalog
where metric = '{{ metric }}'
