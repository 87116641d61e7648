-- One row per release and metric: how much the release is expected to change it.
{{ governed_rows('release_expectations') }}
