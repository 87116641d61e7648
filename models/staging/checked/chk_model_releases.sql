-- One row per row of raw table model_releases: its latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('model_releases') }}
