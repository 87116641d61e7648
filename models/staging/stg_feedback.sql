-- One row per question asked: its latest valid delivery visible at as_of.
{{ staged('feedback') }}
