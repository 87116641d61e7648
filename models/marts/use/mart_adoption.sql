-- One row per model, segment, segment value and day: who could use the model, who met it and who used it.
{%- set of_day = ['exposed_users', 'passive_users'] %}
{%- set of_life = ['new_users', 'returning_users', 'resurrected_users'] %}
with adoption_days as (

    select * from {{ ref('int_adoption_days') }}

),

adoption as (

    select
        model_id,
        segment_name,
        segment_value,
        use_reason,
        case
            when window_reason is not null then window_reason
            when monthly_active_users < {{ setting('minimum_cell') }} then 'too_few_units'
        end as window_reason,
        lifecycle_reason,
        case
            when eligibility_reason is not null or window_reason is not null then coalesce(eligibility_reason, window_reason)
            when eligible_users < {{ setting('minimum_cell') }} then 'too_few_units'
        end as adoption_reason,
        case when eligibility_reason is null then eligible_users end as eligible_users,
        {%- for name in of_day %}
        case when use_reason is null then {{ name }} end as {{ name }},
        {%- endfor %}
        case when use_reason is null then active_users end as daily_active_users,
        case when use_reason is null and known_days >= 7 then weekly_active_users end as weekly_active_users,
        case when window_reason is null then monthly_active_users end as monthly_active_users,
        {%- for name in of_life %}
        case when lifecycle_reason is null then {{ name }} end as {{ name }},
        {%- endfor %}
        case when lifecycle_reason is null then ever_active_users - monthly_active_users end as dormant_users,
        case when eligibility_reason is null and window_reason is null then adopted_users end as adopted_users,
        case when eligibility_reason is null and window_reason is null then first_use_users end as first_use_users,
        case
            when window_reason is null and monthly_active_users >= {{ setting('minimum_cell') }}
                then {{ safe_ratio('active_user_days', '28 * monthly_active_users') }}
        end as stickiness,
        case
            when eligibility_reason is null and window_reason is null and eligible_users >= {{ setting('minimum_cell') }}
                then {{ safe_ratio('adopted_users', 'eligible_users') }}
        end as adoption_rate,
        case
            when eligibility_reason is null and window_reason is null
                then cast(days_to_first_use as {{ type_double() }})
        end as days_to_first_use,
        activity_date
    from adoption_days

)

select * from adoption
