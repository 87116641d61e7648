-- One row per rule that turns a metric into an alert and a corrective action.
{{ governed_rows('alert_rules') }}
