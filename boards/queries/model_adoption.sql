-- One row per day and kind of user.
select
    activity_date,
    'eligible that day' as users,
    eligible_users as user_count
from mart_adoption
where model_id = '{{ model_id }}' and segment_name = 'all' and eligible_users is not null
union all
select
    activity_date,
    'anyone, used it in 28 days',
    monthly_active_users
from mart_adoption
where model_id = '{{ model_id }}' and segment_name = 'all' and monthly_active_users is not null
union all
select
    activity_date,
    'anyone, used it in 7 days',
    weekly_active_users
from mart_adoption
where model_id = '{{ model_id }}' and segment_name = 'all' and weekly_active_users is not null
union all
select
    activity_date,
    'eligible, used it in 28 days',
    adopted_users
from mart_adoption
where model_id = '{{ model_id }}' and segment_name = 'all' and adopted_users is not null
order by users, activity_date
