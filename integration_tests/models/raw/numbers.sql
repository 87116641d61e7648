-- One row per whole number up to 6,000, of which the shop's logs are made.
{{ config(materialized='table') }}
select cast(generated_number as int) as generated_number
from ({{ dbt.generate_series(6000) }}) as numbers
