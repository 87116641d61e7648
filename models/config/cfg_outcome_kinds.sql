-- One row per name of a business outcome: what kind of outcome it is.
{{ governed_rows('outcome_kinds') }}
