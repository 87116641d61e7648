-- One row per metric, model, segment and validity: what is aimed at and what must not be missed.
{{ governed_rows('metric_targets') }}
