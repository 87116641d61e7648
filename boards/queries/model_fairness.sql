-- One row per group of one protected attribute, over all judged days and versions.
select
    text(attribute) as attribute,
    text(group_value) as group_value,
    readable(selection_rate, 'share', reason, '') as selection_rate,
    readable(true_positive_rate, 'share', coalesce(label_reason, reason), '') as true_positive_rate,
    readable(disparate_impact_ratio, 'score', coalesce(reason, 'reference'), '') as impact_ratio,
    readable(disparate_impact_ratio_low, 'score', '', '') as impact_ratio_low,
    readable(disparate_impact_ratio_high, 'score', '', '') as impact_ratio_high,
    words(coalesce(verdict, 'reference')) as verdict
from mart_fairness
where model_id = '{{ model_id }}' and period = 'all' and model_version = 'all' and other_value = 'all'
order by attribute, is_reference desc, group_value
