-- One row per metric: its card, its formula and the hash of its definition.
-- It waits for the tests of the seeds that name metrics, so that a broken rule stops the marts:
-- depends_on: {{ ref('cfg_alert_rules') }}, {{ ref('cfg_experiments') }}, {{ ref('cfg_experiment_guardrails') }}
-- depends_on: {{ ref('cfg_kpi_links') }}, {{ ref('cfg_metric_targets') }}
-- depends_on: {{ ref('cfg_release_criteria') }}, {{ ref('cfg_release_expectations') }}
{%- set cards = metric_cards() if execute else [{'metric': ''}] %}
with cards as (

    {{ literal_rows(cards, cards[0].keys()) }}

),

metrics as (

    select
        metric,
        label,
        description,
        formula,
        formula_in_words,
        numerator_brick,
        denominator_brick,
        excluded_brick,
        segments,
        kind,
        io_class,
        leads_to,
        pillar,
        tier,
        tasks,
        unit,
        unit_of_count,
        direction,
        owner,
        approver,
        frequency,
        rationale,
        so_what,
        proxy_for,
        synonyms,
        unit_types,
        known_after,
        definition_hash,
        certified_hash,
        read_where,
        shape,
        minimum_meaningful_lift,
        cast(nullif(balance_points, 0) as {{ type_double() }}) as balance_points,
        is_proportion,
        follows_label,
        is_versioned,
        is_cross_fact,
        is_additive,
        cast(review_by as date) as review_by
    from cards

)

select * from metrics
