-- One row per stage of a release, model and metric: what a version must have shown before it leaves the stage.
{{ governed_rows('release_criteria') }}
