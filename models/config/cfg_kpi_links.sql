-- One row per link of a model's causal chain: how far one metric is expected to move another.
{{ governed_rows('kpi_links') }}
