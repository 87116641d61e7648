-- One row per thing to look at within two weeks.
select
    due_date,
    words(review_state) as review_state,
    words(review_kind) as review_kind,
    words(subject) as subject,
    text(model_id) as model_id,
    text(owner) as owner,
    next_step
from mart_review_calendar
where days_left <= 14
order by due_date, place
