-- One row per user, model and start of eligibility: its latest valid delivery visible at as_of.
{{ staged('eligible_users') }}
