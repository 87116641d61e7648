-- One row per experiment, declared before its data.
{{ governed_rows('experiments') }}
