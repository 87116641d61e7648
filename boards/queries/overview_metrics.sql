-- One row per governed metric.
select
    metric,
    page('metric', metric) as page,
    label,
    pillar,
    words(kind) as kind,
    unit,
    owner,
    words(review_state) as review_state,
    model_count
from mart_metric_catalog
order by pillar, label
