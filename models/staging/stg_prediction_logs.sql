-- One row per decision: its latest valid delivery visible at as_of.
{{ staged('prediction_logs') }}
