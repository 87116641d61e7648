-- One row per relation, model and pair of metrics: how their weekly changes go together, at the lag at which they do so most.
{%- set longest_lag = 13 %}
{%- set fewest_weeks = 26 %}
{%- set error_rate = 0.05 %}
with weekly_changes as (

    select * from {{ ref('int_weekly_changes') }}

),

metrics as (

    select * from {{ ref('dim_metrics') }}

),

read_metrics as (

    select
        model_metrics.model_id,
        model_metrics.metric,
        model_metrics.role,
        metrics.leads_to,
        metrics.proxy_for,
        metrics.numerator_brick,
        metrics.denominator_brick,
        case model_metrics.direction when 'up' then 1 when 'down' then -1 end as better_sign
    from {{ ref('dim_model_metrics') }} as model_metrics
    inner join metrics on model_metrics.metric = metrics.metric

),

related as (

    {%- for relation, condition in [
        ('leads_to', 'one.leads_to = other.metric'),
        ('proxy_for', 'one.proxy_for = other.metric'),
        ('trade_off', "one.metric < other.metric and one.role <> 'watched' and other.role <> 'watched'"),
    ] %}
    select
        '{{ relation }}' as relation,
        one.model_id,
        one.metric,
        other.metric as other_metric,
        one.better_sign * other.better_sign as better_sign,
        coalesce(one.numerator_brick in (other.numerator_brick, other.denominator_brick), false)
        or coalesce(one.denominator_brick in (other.numerator_brick, other.denominator_brick), false) as shares_bricks
    from read_metrics as one
    inner join read_metrics as other
        on one.model_id = other.model_id
        and one.metric <> other.metric
        and {{ condition }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

lags as (

    {%- for lag in range(longest_lag + 1) %}
    select {{ lag }} as lag_weeks{{ ' union all' if not loop.last }}
    {%- endfor %}

),

persistence as (

    select
        changes.model_id,
        changes.metric,
        coalesce({{ correlation('changes.change', 'earlier_changes.change') }}, 0) as persistence
    from weekly_changes as changes
    inner join weekly_changes as earlier_changes
        on changes.model_id = earlier_changes.model_id
        and changes.metric = earlier_changes.metric
        and cast({{ dbt.dateadd('day', -7, 'changes.week_end_date') }} as date) = earlier_changes.week_end_date
    group by changes.model_id, changes.metric

),

common_weeks as (

    select
        related.relation,
        related.model_id,
        related.metric,
        related.other_metric,
        count(*) + 1 as week_count
    from related
    inner join weekly_changes as changes
        on related.model_id = changes.model_id
        and related.metric = changes.metric
    inner join weekly_changes as other_changes
        on related.model_id = other_changes.model_id
        and related.other_metric = other_changes.metric
        and changes.week_end_date = other_changes.week_end_date
    group by related.relation, related.model_id, related.metric, related.other_metric

),

lagged as (

    select
        related.relation,
        related.model_id,
        related.metric,
        related.other_metric,
        lags.lag_weeks,
        count(*) as change_count,
        {{ correlation('changes.change', 'other_changes.change') }} as correlation
    from related
    inner join common_weeks
        on {{ same_pair('related', 'common_weeks') }}
    inner join lags
        on (lags.lag_weeks = 0) = (related.relation <> 'leads_to')
        and lags.lag_weeks * 4 <= common_weeks.week_count
    inner join weekly_changes as changes
        on related.model_id = changes.model_id
        and related.metric = changes.metric
    inner join weekly_changes as other_changes
        on related.model_id = other_changes.model_id
        and related.other_metric = other_changes.metric
        and cast({{ dbt.dateadd('day', '7 * lags.lag_weeks', 'changes.week_end_date') }} as date) = other_changes.week_end_date
    where
        common_weeks.week_count >= {{ fewest_weeks }}
        and not (related.relation = 'leads_to' and related.shares_bricks)
    group by related.relation, related.model_id, related.metric, related.other_metric, lags.lag_weeks

),

-- Bartlett: where both persist, or both swing back, weeks tell less than their number
weighed as (

    select
        lagged.*,
        least(greatest(lagged.correlation, -0.999999999), 0.999999999) as bounded_correlation,
        lagged.change_count
        / greatest(1 + 2 * coalesce(own.persistence, 0) * coalesce(other.persistence, 0), 1) as effective_weeks
    from lagged
    left join persistence as own
        on lagged.model_id = own.model_id
        and lagged.metric = own.metric
    left join persistence as other
        on lagged.model_id = other.model_id
        and lagged.other_metric = other.metric
    where lagged.correlation is not null

),

scored as (

    select
        *,
        atanh(bounded_correlation) as fisher_z,
        1 / sqrt(greatest(effective_weeks - 3, 1)) as fisher_error,
        count(*) over (partition by relation, model_id, metric, other_metric) as lag_count
    from weighed

),

best_lags as (

    select
        *,
        row_number() over (
            partition by relation, model_id, metric, other_metric
            order by abs(fisher_z) / fisher_error desc nulls last, lag_weeks nulls last
        ) as place
    from scored

),

-- Bonferroni over the lags of a pair
tested as (

    select
        *,
        least(lag_count * {{ normal_p_value('abs(fisher_z) / fisher_error') }}, 1) as p_value
    from best_lags
    where place = 1

),

-- Benjamini and Hochberg over the pairs of a relation
ranked as (

    select
        *,
        count(*) over (partition by relation) as pair_count,
        row_number() over (
            partition by relation
            order by p_value nulls last, model_id nulls last, metric nulls last, other_metric nulls last
        ) as pair_rank
    from tested

),

judged as (

    select
        *,
        pair_rank <= max(
            case when p_value <= {{ error_rate }} * pair_rank / pair_count then pair_rank else 0 end
        ) over (partition by relation) as is_beyond_noise,
        {{ normal_quantile('1 - ' ~ error_rate ~ ' / (2 * lag_count)') }} * fisher_error as fisher_margin
    from ranked

),

metric_pairs as (

    select
        related.relation,
        related.model_id,
        related.metric,
        related.other_metric,
        case
            when related.relation = 'leads_to' and related.shares_bricks then 'shared_bricks'
            when coalesce(common_weeks.week_count, 0) < {{ fewest_weeks }} then 'few_weeks'
            when judged.correlation is null then 'equal_values'
        end as reason,
        cast(coalesce(common_weeks.week_count, 0) as bigint) as week_count,
        judged.lag_weeks,
        cast(judged.lag_count as bigint) as lag_count,
        judged.effective_weeks,
        judged.correlation,
        tanh(judged.fisher_z - judged.fisher_margin) as correlation_low,
        tanh(judged.fisher_z + judged.fisher_margin) as correlation_high,
        judged.p_value,
        related.better_sign,
        related.shares_bricks,
        judged.is_beyond_noise
    from related
    left join common_weeks
        on {{ same_pair('related', 'common_weeks') }}
    left join judged
        on {{ same_pair('related', 'judged') }}

)

select * from metric_pairs
