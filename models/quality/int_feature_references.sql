-- One row per model and watched feature: what its reference holds, and a hash of its bins.
with edges as (

    select * from {{ ref('int_feature_edges') }}

),

reference_days as (

    select * from {{ ref('int_reference_days') }}

),

decisions as (

    select * from {{ ref('fct_decisions') }}

),

reference_entities as (

    select
        decisions.model_id,
        min(decisions.decision_date) as reference_start_date,
        max(decisions.decision_date) as reference_end_date,
        {{ entity_count(rows='decisions') }} as entity_count,
        {{ entity_count("decisions.label_state = 'matured'", 'decisions') }} as labelled_entity_count
    from decisions
    inner join reference_days
        on decisions.model_id = reference_days.model_id
        and decisions.decision_date = reference_days.reference_date
    group by decisions.model_id

),

binned as (

    select
        model_id,
        feature,
        feature_kind,
        feature_role,
        -- what one entity alone showed tells how much was not seen yet
        {{ safe_ratio(
            'sum(case when reference_entity_count = 1 and category is not null then reference_row_count else 0 end)',
            'sum(reference_row_count)'
        ) }} as seen_once_share,
        md5({{ ordered_list(
            "bin || ' ' || coalesce(category, " ~ number_text('lower_bound') ~ ", '')", '|', ['bin', 'category', 'lower_bound']
        ) }}) as edges_hash
    from edges
    group by model_id, feature, feature_kind, feature_role

),

feature_references as (

    select
        binned.model_id,
        binned.feature,
        binned.feature_kind,
        binned.feature_role,
        binned.edges_hash,
        binned.seen_once_share,
        cast(
            case
                when binned.feature_role = 'label' then reference_entities.labelled_entity_count
                else reference_entities.entity_count
            end as bigint
        ) as entity_count,
        reference_entities.reference_start_date,
        reference_entities.reference_end_date
    from binned
    inner join reference_entities on binned.model_id = reference_entities.model_id

)

select * from feature_references
