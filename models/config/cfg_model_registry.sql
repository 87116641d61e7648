-- One row per model that is governed: what it decides, how its labels arrive and how long they take.
{{ governed_rows('model_registry') }}
