-- One row per annotation: its latest valid delivery visible at as_of.
{{ staged('kpi_annotations') }}
