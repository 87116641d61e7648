-- One row per offer that was booked, or not, two days after its score.
with scores as (

    select * from {{ ref('model_scores') }}

)

select
    'booking-' || prediction_id as outcome_id,
    'booked' as outcome_name,
    prediction_id,
    case when score > 0.6 and mod(cast(replace(prediction_id, 'score-', '') as int), 4) <> 0 then 'true' else 'false' end as outcome_label,
    {{ dbt.dateadd('day', 2, 'predicted_at') }} as occurred_at,
    {{ dbt.dateadd('day', 2, 'predicted_at') }} as observed_at,
    {{ dbt.dateadd('day', 2, 'loaded_at') }} as loaded_at
from scores
where {{ dbt.dateadd('day', 2, 'loaded_at') }} <= cast('{{ var("delivered_until") }}' as timestamp)
