-- One row per model with an experiment that showed a gain: how good that evidence is.
with decisions as (

    select
        *,
        max(as_of) over (partition by experiment_id) as latest_as_of
    from {{ ref('fct_lift_decisions') }}
    where as_of <= {{ as_of_date() }}

),

experiments as (

    select * from {{ ref('cfg_experiments') }}

),

model_evidence as (

    select
        experiments.model_id,
        min({{ experiment_grade('experiments', 'decisions') }}) as grade
    from decisions
    inner join experiments on decisions.experiment_id = experiments.experiment_id
    where decisions.as_of = decisions.latest_as_of and decisions.primary_state in ('win', 'small')
    group by experiments.model_id

)

select * from model_evidence
