-- One row per experiment and metric: what is taken off each unit before squaring, and where totals are capped.
with unit_metrics as (

    select * from {{ ref('int_unit_metrics') }} where state = 'counted'

),

spreads as (

    select
        experiment_id,
        metric,
        {%- for variable in moment_variables() %}
        avg({{ variable }}) as {{ variable }}_mean,
        stddev_samp({{ variable }}) as {{ variable }}_deviation,
        {%- endfor %}
        count(*) as unit_count
    from unit_metrics
    group by experiment_id, metric

),

ranks as (

    select
        experiment_id,
        metric,
        y,
        cap_quantile,
        cume_dist() over (partition by experiment_id, metric order by y) as share_up_to
    from unit_metrics
    where cap_quantile is not null

),

caps as (

    select
        experiment_id,
        metric,
        min(y) as cap_value
    from ranks
    where share_up_to >= cap_quantile
    group by experiment_id, metric

),

constants as (

    select
        spreads.experiment_id,
        spreads.metric,
        {%- for variable in moment_variables() %}
        {{ shift_constant('spreads.' ~ variable ~ '_mean', 'spreads.' ~ variable ~ '_deviation') }} as k_{{ variable }},
        {%- endfor %}
        caps.cap_value
    from spreads
    left join caps
        on spreads.experiment_id = caps.experiment_id
        and spreads.metric = caps.metric

)

select * from constants
