-- One row per score of the model that picks an offer: every twenty minutes one, for one of four hundred customers.
with scores as (

    select
        generated_number as n,
        {{ dbt.dateadd('minute', 'generated_number * 20', "cast('2026-04-01' as timestamp)") }} as scored_at
    from {{ ref('numbers') }}

)

select
    'score-' || cast(n as {{ dbt.type_string() }}) as prediction_id,
    'upsell' as model_id,
    case when scored_at < cast('2026-05-01' as timestamp) then '1.0' else '1.1' end as model_version,
    scored_at as predicted_at,
    'basket-' || cast(n as {{ dbt.type_string() }}) as entity_id,
    'customer-' || cast(mod(n, 400) as {{ dbt.type_string() }}) as user_id,
    mod(n * 7919, 1000) / 1000.0 as score,
    case when mod(n, 3) = 0 then 'web' else 'app' end as channel,
    {{ dbt.dateadd('hour', 1, 'scored_at') }} as loaded_at
from scores
where {{ dbt.dateadd('hour', 1, 'scored_at') }} <= cast('{{ var("delivered_until") }}' as timestamp)
