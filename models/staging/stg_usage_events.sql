-- One row per usage event: its latest valid delivery visible at as_of.
{{ staged('usage_events') }}
