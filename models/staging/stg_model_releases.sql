-- One row per release event: its latest valid delivery visible at as_of.
{{ staged('model_releases') }}
