-- One row per row of raw table model_releases: of each key the latest copy that keeps the contract, and each copy that breaks it.
{{ checked_rows('model_releases') }}
