-- One row per model and metric that is read for it in another way than its card says, or not at all.
{{ governed_rows('model_metrics') }}
