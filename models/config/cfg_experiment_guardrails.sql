-- One row per experiment and guardrail: a metric that must not become worse than the control by more than a margin.
{{ governed_rows('experiment_guardrails') }}
