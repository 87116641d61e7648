-- One row per whole number up to 6,000, of which the shop's logs are made.
{{ config(materialized='table') }}
{{ dbt.generate_series(6000) }}
