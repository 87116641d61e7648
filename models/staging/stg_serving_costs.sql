-- One row per cost: its latest valid delivery visible at as_of.
{{ staged('serving_costs') }}
