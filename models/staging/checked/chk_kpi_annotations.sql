-- One row per row of raw table kpi_annotations: of each key the latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('kpi_annotations') }}
