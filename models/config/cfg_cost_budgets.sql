-- One row per model, type of cost and validity: what may be spent in a month.
{{ governed_rows('cost_budgets') }}
