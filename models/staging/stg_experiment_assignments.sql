-- One row per experiment, unit and variant: its latest valid delivery visible at as_of.
{{ staged('experiment_assignments') }}
