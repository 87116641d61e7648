-- One row per model, version and the version before it that an experiment kept apart on the days that they share.
{#- a few decisions of a unit on the other side do not undo a split -#}
{%- set nearly_all = 0.95 %}
with version_pairs as (

    select * from {{ ref('int_version_pairs') }}

),

decisions as {{ not_materialized() }} (

    select * from {{ ref('fct_decisions') }}

),

assignments as (

    select * from {{ ref('fct_assignments') }}
    where not is_multi_exposed

),

experimented_pairs as (

    select distinct
        version_pairs.*,
        assignments.experiment_id,
        assignments.unit_type
    from version_pairs
    inner join assignments on version_pairs.model_id = assignments.model_id

),

paired_decisions as (

    select
        experimented_pairs.model_id,
        experimented_pairs.model_version,
        experimented_pairs.compared_with,
        experimented_pairs.experiment_id,
        decisions.model_version as side_version,
        decisions.prediction_id,
        decisions.predicted_at,
        case experimented_pairs.unit_type
            when 'user' then decisions.user_id
            when 'entity' then decisions.entity_id
            else decisions.prediction_id
        end as unit_id
    from experimented_pairs
    inner join decisions
        on experimented_pairs.model_id = decisions.model_id
        and experimented_pairs.decision_date = decisions.decision_date
        and decisions.model_version in (experimented_pairs.model_version, experimented_pairs.compared_with)

),

variant_counts as (

    select
        paired_decisions.model_id,
        paired_decisions.model_version,
        paired_decisions.compared_with,
        paired_decisions.experiment_id,
        paired_decisions.side_version,
        assignments.variant,
        count(*) as row_count
    from paired_decisions
    left join assignments
        on paired_decisions.experiment_id = assignments.experiment_id
        and paired_decisions.unit_id = assignments.unit_id
        and paired_decisions.predicted_at >= assignments.exposed_at
    group by
        paired_decisions.model_id, paired_decisions.model_version, paired_decisions.compared_with,
        paired_decisions.experiment_id, paired_decisions.side_version, assignments.variant

),

sides as (

    select
        *,
        sum(row_count) over (partition by model_id, model_version, compared_with, experiment_id, side_version) as side_count
    from variant_counts

),

served as (

    select * from sides
    where variant is not null and row_count >= {{ nearly_all }} * side_count

),

version_splits as (

    select
        own.model_id,
        own.model_version,
        own.compared_with,
        true as is_randomised
    from served as own
    inner join served as other
        on own.model_id = other.model_id
        and own.model_version = other.model_version
        and own.compared_with = other.compared_with
        and own.experiment_id = other.experiment_id
        and own.side_version = own.model_version
        and other.side_version = other.compared_with
        and own.variant <> other.variant
    group by own.model_id, own.model_version, own.compared_with

)

select * from version_splits
