-- One row per outcome: its latest valid delivery visible at as_of.
{{ staged('business_outcomes') }}
