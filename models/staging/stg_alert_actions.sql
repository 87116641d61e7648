-- One row per action on an alert: its latest valid delivery visible at as_of.
{{ staged('alert_actions') }}
