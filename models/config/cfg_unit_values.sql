-- One row per model, confusion cell and validity: what a decision in that cell is worth.
{{ governed_rows('unit_values') }}
