"""A broken rule over seeds stops the marts by name; the doctor lists all of them at once."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta

import duckdb
import pytest

import building
from building import NO_UNIT_TESTS, ROOT, Project, Run
from throughline import dbt_process, doctor
from throughline.findings import Finding
from throughline.simulate import simulate
from throughline.workspace import Workspace

DUE = str(date(2026, 7, 1) - timedelta(days=90))
"""The last day of grace at the as_of of the simulated company."""
LONG = "2025-01-01,,Ann,why"
REFERENCE = "2026-03-09,2026-04-05,false,true,150,,,Head of Online Shop"
REVERSED = "2026-04-05,2026-03-09,false,true,150,,,Head of Online Shop"


def experiment(name: str, **cells: str) -> str:
    """A row of the seed that is sound but for `cells`."""
    return building.experiment(name, **{"model_id": "next_best_offer"} | cells)


def plain(column: str, value: str, rule: str) -> str:
    """What the doctor says of a cell that breaks a rule on its own row."""
    return f"column {column}: '{value}' breaks the rule {rule}."


def unlike(column: str, value: str) -> str:
    return f"column {column}: '{value}' is not allowed."


def split(name: str, cell: str, fault: str) -> tuple[str, str]:
    return (
        experiment(name, expected_split=cell),
        f"column expected_split: split {cell} of {name} {fault}. "
        "Write it like control:0.5;treatment:0.5.",
    )


def looks(name: str, cell: str, fault: str) -> tuple[str, str]:
    return (
        experiment(name, method="group_sequential", look_dates=cell),
        f"column look_dates: look_dates of {name}: {fault}. "
        "Write days as YYYY-MM-DD in rising order, separated by ;.",
    )


def hasty(name: str, look: str, first_day: str, **cells: str) -> tuple[str, str]:
    return (
        experiment(name, method="group_sequential", look_dates=f"{look};2026-05-10", **cells),
        f"column look_dates: look_dates of {name}: {look} is not after {first_day}, when the first "
        "unit can be mature. "
        "Write days after start_date, window_days and the days until the metric is known.",
    )


WALD = {"method": "instrument", "minimum_effect_kind": "absolute"}
NO_UNIT = "cannot be read per"
OTHER = "Name another metric."

# a row of experiments, and what the doctor says of it after its file and row
BROKEN: list[tuple[str, str]] = [
    (
        experiment("trial", primary_metric="take_rate"),
        "column primary_metric: no metric 'take_rate'. Did you mean 'view_rate'?",
    ),
    (
        experiment("second", model_id="churn"),
        "column model_id: unknown model 'churn'. Declare it in model_registry.",
    ),
    (
        experiment("third", secondary_metrics="acceptance_rate;delight"),
        "column secondary_metrics: no metric 'delight'.",
    ),
    (
        experiment("uptaken", uptake_metric="uptaking"),
        "column uptake_metric: no metric 'uptaking'.",
    ),
    split("no_control", "old:0.5;treatment:0.5", "lacks the control control"),
    split("empty_control", "control:0;b:0.5;c:0.5", "lacks the control control"),
    split("short", "control:0.5;treatment:0.49999", "does not sum to 1"),
    split("negative", "control:1.5;treatment:-0.5", "has a negative share"),
    split("alone", "control:1", "has fewer than two variants"),
    split("twice", "control:0.5;control:0.5", "names a variant twice"),
    split("words", "control:half;treatment:half", "is not written as variant:share;variant:share"),
    split("open", "control:0.5;treatment:0.5;", "is not written as variant:share;variant:share"),
    split("much", "control:0.5;a:b:0.5", "is not written as variant:share;variant:share"),
    (
        experiment("reversed", planned_end_date="2026-04-06"),
        plain("planned_end_date", "2026-04-06", "planned_end_date > start_date"),
    ),
    (
        experiment("shrunk", extended_end_date="2026-05-01"),
        plain("extended_end_date", "2026-05-01", "extended_end_date > planned_end_date"),
    ),
    (experiment("no_window", window_days="0"), plain("window_days", "0", "window_days > 0")),
    (
        experiment("ahead", covariate_days="-1"),
        plain("covariate_days", "-1", "covariate_days >= 0"),
    ),
    (
        experiment("unequal", method="did", covariate_days=""),
        plain("covariate_days", "", "method <> 'did' or coalesce(covariate_days, 0) = window_days"),
    ),
    (
        experiment("odd_days", method="did", window_days="7", covariate_days="7"),
        plain("covariate_days", "7", "method <> 'did' or mod(covariate_days, 2) = 0"),
    ),
    (experiment("odd_unit", unit_type="household"), unlike("unit_type", "household")),
    (experiment("odd_method", method="peeking"), unlike("method", "peeking")),
    (experiment("odd_arms", comparison="random"), unlike("comparison", "random")),
    (experiment("odd_kind", minimum_effect_kind="share"), unlike("minimum_effect_kind", "share")),
    (experiment("odd_totals", decided_on="winsorised"), unlike("decided_on", "winsorised")),
    (
        experiment("unseen", method="group_sequential"),
        plain("look_dates", "", "method <> 'group_sequential' or look_dates is not null"),
    ),
    looks("unordered", "2026-05-20;2026-05-10", "2026-05-10 is not after 2026-05-20"),
    looks("repeated", "2026-05-10;2026-05-10", "2026-05-10 is not after 2026-05-10"),
    looks("no_day", "2026-05-10;2026-06-31", "'2026-06-31' is not a date"),
    looks("short_day", "2026-5-10", "'2026-5-10' is not a date"),
    # 14 days after the first unit, and 8 more until its labels have matured
    hasty("hasty", "2026-04-28", "2026-04-28"),
    hasty("hastier", "2026-04-06", "2026-04-20", primary_metric="acceptance_rate"),
    (
        experiment("aimless", model_id="demand_forecast", primary_metric="prediction_bias"),
        "column primary_metric: primary metric prediction_bias of aimless has no better side: "
        f"its direction is zero. {OTHER}",
    ),
    (
        experiment("no_entity", unit_type="entity", primary_metric="adoption_rate"),
        f"column primary_metric: primary metric adoption_rate of no_entity {NO_UNIT} entity: "
        f"its facts carry user. {OTHER}",
    ),
    (
        experiment(
            "no_prediction",
            unit_type="prediction",
            secondary_metrics="recall;churn_rate;csat;adoption_rate",
        ),
        f"column secondary_metrics: secondary metric adoption_rate of no_prediction {NO_UNIT} "
        f"prediction: its facts carry user. {OTHER}",
    ),
    (
        experiment("unitless", secondary_metrics="cost_per_prediction"),
        f"column secondary_metrics: secondary metric cost_per_prediction of unitless {NO_UNIT} "
        f"user: its facts carry no unit. {OTHER}",
    ),
    (
        experiment("no_uptake", primary_metric="credited_revenue", **WALD),
        plain("uptake_metric", "", "method <> 'instrument' or uptake_metric is not null"),
    ),
    (
        experiment("divided", uptake_metric="value_of_decisions", **WALD),
        "column primary_metric: primary metric conversion_rate of divided is a ratio, "
        f"which an instrument does not take. {OTHER}",
    ),
    (
        experiment(
            "divided_uptake", primary_metric="value_of_decisions", uptake_metric="view_rate", **WALD
        ),
        "column uptake_metric: uptake metric view_rate of divided_uptake is a ratio, "
        f"which an instrument does not take. {OTHER}",
    ),
    (
        experiment(
            "baseless",
            method="instrument",
            primary_metric="value_of_decisions",
            uptake_metric="credited_revenue",
        ),
        plain(
            "minimum_effect_kind",
            "relative",
            "method <> 'instrument' or minimum_effect_kind = 'absolute'",
        ),
    ),
    (
        experiment("effortless", minimum_effect="0"),
        plain("minimum_effect", "0", "minimum_effect > 0"),
    ),
    (experiment("sure", alpha="1"), plain("alpha", "1", "alpha > 0 and alpha < 1")),
    (experiment("blind", power="0"), plain("power", "0", "power > 0 and power < 1")),
    (
        experiment("nobody", expected_units="0"),
        plain("expected_units", "0", "expected_units > 0"),
    ),
    (
        experiment("worthless", value_per_unit="0", currency="USD"),
        plain("value_per_unit", "0", "value_per_unit > 0"),
    ),
    (
        experiment("priceless", value_per_unit="2"),
        plain("currency", "", "value_per_unit is null or currency is not null"),
    ),
    (
        experiment("foreign", value_per_unit="2", currency="JPY"),
        "column currency: no exchange rate for 'JPY' to USD. Add it to exchange_rates.csv.",
    ),
]
# the same of experiment_guardrails
UNGUARDED: list[tuple[str, str]] = [
    (
        "offer_ranking_aa,calm,0.1,relative,Ann,why",
        "column metric: no metric 'calm'.",
    ),
    (
        "offer_ranking,view_rate,0.1,relative,Ann,why",
        "column experiment_id: unknown experiment 'offer_ranking'. Declare it in experiments. "
        "Did you mean 'offer_ranking_aa'?",
    ),
    (
        "offer_ranking_aa,conversion_rate,0.1,relative,Ann,why",
        "column metric: guardrail metric conversion_rate of offer_ranking_aa is the primary "
        "metric of the experiment. Name another metric.",
    ),
    (
        "offer_ranking_aa,prediction_bias,0.1,absolute,Ann,why",
        "column metric: guardrail metric prediction_bias of offer_ranking_aa has no better side: "
        "its direction is zero. Name another metric.",
    ),
    (
        "lead_first_hour_call,adoption_rate,0.1,relative,Ann,why",
        "column metric: guardrail metric adoption_rate of lead_first_hour_call cannot be read per "
        "entity: its facts carry user. Name another metric.",
    ),
    (
        "offer_ranking_aa,view_rate,-0.1,relative,Ann,why",
        plain("margin", "-0.1", "margin >= 0"),
    ),
    ("offer_ranking_aa,csat,0.1,percent,Ann,why", unlike("margin_kind", "percent")),
    (
        "divided,view_rate,0.1,absolute,Ann,why",
        "column metric: guardrail metric view_rate of divided is a ratio, "
        f"which an instrument does not take. {OTHER}",
    ),
    (
        "divided,credited_revenue,0.1,relative,Ann,why",
        "column margin_kind: guardrail metric credited_revenue of divided has a relative margin, "
        "which an instrument does not take. Write the margin in units of the metric.",
    ),
]


def alert(name: str, **cells: str) -> str:
    """A row of the seed that is sound but for `cells`."""
    sound = {
        "tier": "technical",
        "metric": "recall",
        "model_id": "lead_scoring",
        "condition": "value < floor",
        "consecutive_days": "1",
        "cooldown_days": "1",
        "corrective_action": "retrain",
        "sla_hours": "1",
        "owner": "Ann",
        "rationale": "why",
    }
    return building.seed_row("alert_rules", rule_id=name, **sound | cells)


def condition(text: str, fault: str) -> tuple[str, str]:
    return (
        alert(text.encode().hex(), condition=text),
        f"column condition: condition '{text}' {fault}",
    )


CONDITIONS: list[tuple[str, str]] = [
    condition("value", "ends at place 6: no comparison"),
    condition("value = floor", "'=' at place 7 is no comparison"),
    condition("value < flor", "'flor' at place 9 is no name or number"),
    condition("value < 0.1.2", "'.2' at place 12 does not continue the condition"),
    condition("value <", "ends at place 8: a name or number is missing"),
    condition("< floor", "'<' at place 1 is no name or number"),
    condition("(value < floor", "'<' at place 8 stands where ) closes"),
    condition("value < (floor + 1", "ends at place 19: ) is missing"),
    condition("value < floor)", "')' at place 14 does not continue the condition"),
    condition("abs value > 1", "'value' at place 5 is no ( after abs"),
    condition("value < floor < target", "'<' at place 15 does not continue the condition"),
    condition("value < floor and change < 0", "'and' at place 15 does not continue the condition"),
    condition("target < floor", "does not read value or change"),
    condition("value < floor; drop table x", "';' at place 14 does not continue the condition"),
    condition("value < 1234567890123456", "'1234567890123456' at place 9 is no number of at most"),
    condition("value < 1" + " + 1" * 11, "has more than 24 names, numbers and signs"),
]
COUNTED = "which a count of faults does not have. Compare it with a number."
ALERTS: list[tuple[str, str]] = [
    (alert("metric", metric="f1"), "column metric: no metric 'f1'. Known: "),
    (alert("model", model_id="churn"), "column model_id: unknown model 'churn'. "),
    (alert("tier", tier="urgent"), unlike("tier", "urgent")),
    (alert("period", period="week"), unlike("period", "week")),
    (alert("days", consecutive_days="0"), plain("consecutive_days", "0", "consecutive_days > 0")),
    (
        alert("health", metric="input_health", condition="value > 0", consecutive_days="2"),
        plain("consecutive_days", "2", "metric <> 'input_health' or consecutive_days = 1"),
    ),
    (alert("cooldown", cooldown_days="-1"), plain("cooldown_days", "-1", "cooldown_days >= 0")),
    (alert("sla", sla_hours="0"), plain("sla_hours", "0", "sla_hours > 0")),
    (alert("empty", condition=""), "column condition: empty. Fill it in."),
    (alert("owner", owner=""), "column owner: empty. Fill it in."),
    *CONDITIONS,
    (
        alert("drift", metric="drift", condition="value > floor"),
        f"column condition: condition 'value > floor' reads floor, {COUNTED}",
    ),
]

FAULTS = {
    "metric_targets": [
        f"precison,lead_scoring,all,all,0.4,,,,,,,,,{LONG}",
        f"recall,lead_skoring,all,all,0.4,,,,,,,,,{LONG}",
        f"recall,lead_scoring,chanel,web,0.4,,,,,,,,,{LONG}",
        f"recall,lead_scoring,region,north,0.4,,,,,impact,,,,{LONG}",
        "recall,lead_scoring,region,south,0.4,,,,,,,,,2025-01-01,,,why",
        "recall,lead_scoring,region,east,0.4,,,,,,,,,2025-01-01,,Ann,",
        f"precision,lead_scoring,channel,web,0.4,0.5,,,,,,,,{LONG}",
        f"precision,lead_scoring,channel,fair,0.4,0.3,0.5,,,,,,,{LONG}",
        f"value_of_decisions,lead_scoring,region,emea,1,,,,,credited_revenue,,,,{LONG}",
        f"credited_revenue,*,all,all,1,,,,,accuracy,,,,{LONG}",
        f"accuracy,lead_scoring,channel,web,0.5,,,,,value_of_decisions,,,,{LONG}",
        # apart in time or in model: no cycle
        "precision,fraud_detection,device,app,0.1,,,,,recall,,,,2025-01-01,2025-06-01,Ann,why",
        "recall,fraud_detection,device,app,0.1,,,,,precision,,,,2025-06-01,,Ann,why",
        f"acceptance_rate,fraud_detection,device,app,0.1,,,,,conversion_rate,,,,{LONG}",
        f"conversion_rate,next_best_offer,device,app,0.1,,,,,acceptance_rate,,,,{LONG}",
        "precision,lead_scoring,region,west,0.4,,,,,,,,,2025-01-01,2026-01-02,Ann,why",
        "precision,lead_scoring,region,west,0.5,,,,,,,,,2026-01-01,,Ann,why",
        f"error_rate,lead_scoring,channel,web,0.4,0.3,,,,,,,,{LONG}",
        f"prediction_bias,lead_scoring,channel,web,-0.4,0.3,,,,,,,,{LONG}",
        # nearer to zero than its floor
        f"prediction_bias,lead_scoring,channel,app,0.2,-0.3,,,,,,,,{LONG}",
        "precision,lead_scoring,region,back,0.4,,,,,,,,,2026-01-01,2025-06-01,Ann,why",
        f"accuracy,lead_scoring,region,same,0.4,,,,,,,,,{LONG}",
        f"accuracy,lead_scoring,region,same,0.5,,,,,,,,,{LONG}",
        f"csat,lead_scoring,region,g1,0.5,,,,,,round_one,round_two,team,{LONG}",
        f"csat,lead_scoring,region,g2,0.5,,,,,,round_two,round_one,team,{LONG}",
        # what leads into a cycle is none
        f"csat,lead_scoring,region,g3,0.5,,,,,,into_it,round_one,team,{LONG}",
        f"csat,lead_scoring,region,g4,0.5,,,,,,orphan,nobody,team,{LONG}",
        # the goal above ends before it begins
        "csat,lead_scoring,region,g5,0.5,,,,,,ended,,team,2025-01-01,2025-06-01,Ann,why",
        "csat,lead_scoring,region,g6,0.5,,,,,,late,ended,team,2025-06-01,,Ann,why",
        f"csat,lead_scoring,region,g7,0.5,,,,,,twice,,team,{LONG}",
        f"csat,lead_scoring,region,g8,0.5,,,,,,twice,,team,{LONG}",
        f"view_rate,*,all,all,0.5,,,,,,star,,team,{LONG}",
        f"csat,lead_scoring,region,g9,0.5,,,,,,flat,,,{LONG}",
        f"csat,lead_scoring,region,h1,0.5,,,,,,,flat,team,{LONG}",
        f"view_rate,(all),all,all,0.5,,,,,,,,,{LONG}",
        f"churn_rate,(all),all,all,0.1,,,,,,all_churn,,company,{LONG}",
        f"csat,(all),region,emea,0.5,,,,,,all_emea,,company,{LONG}",
        f"csat,lead_scoring,region,h2,0.5,,,,,,top_heavy,web_value,company,{LONG}",
        f"value_of_decisions,lead_scoring,region,apac,1,,,,,,apac_value,sales_value,team,{LONG}",
        f"csat,lead_scoring,region,h3,0.5,,,,-1,,weightless,,team,{LONG}",
        f"csat,lead_scoring,region,h4,0.5,,,,,,ranked,,division,{LONG}",
    ],
    "kpi_links": [
        "lead_scoring,clicks,value_of_decisions,1,2,low,none,Ann,why",
        "lead_scoring,precision,happiness,1,2,low,none,Ann,why",
        "churn,precision,recall,1,2,low,none,Ann,why",
    ],
    "release_criteria": [
        "live,lead_scoring,precision,0.4,,,Ann,why",
        "validation,churn,precision,0.4,,,Ann,why",
        "validation,lead_scoring,f1,0.4,,,Ann,why",
        "validation,lead_scoring,recall,0.4,-1,,Ann,why",
        "validation,lead_scoring,accuracy,0.4,,week,Ann,why",
        "validation,lead_scoring,error_rate,,,,Ann,why",
        "validation,lead_scoring,view_rate,0.4,,,Ann,why",
        "validation,lead_scoring,view_rate,0.5,,,Ann,why",
    ],
    "release_expectations": [
        "release-4,clicks,0,1,Ann,why",
        "release-4,accuracy,0.2,0.1,Ann,why",
        "release-4,view_rate,0,1,Ann,why",
        "release-4,view_rate,0,2,Ann,why",
    ],
    "alert_rules": [row for row, _ in ALERTS],
    "experiments": [row for row, _ in BROKEN],
    "experiment_guardrails": [row for row, _ in UNGUARDED],
    "unit_values": [
        "lead_scoring,tp,1,0,USD,2026-01-01,,Ann,why",
        "churn,tp,1,0,USD,2026-01-01,,Ann,why",
        "lead_scoring,fp,1,0,USD,2024-06-01,2024-06-01,Ann,why",
    ],
    "exchange_rates": ["EUR,2,2026-01-01,,Ann,why", "CHF,1,2026-01-01,2025-06-01,Ann,why"],
}

DIVIDE = "Divide a goal by one segment, or by models, alone."
MISPLACED = {
    36: f"goals apac_value and partner_value are overlapping parts of sales_value. {DIVIDE}",
    37: f"goals apac_value and web_value are overlapping parts of sales_value. {DIVIDE}",
    61: "the parents of goal round_one lead back to it: round_one > round_two > round_one. "
    "Empty parent_goal_id of one of them.",
    64: "goal orphan serves nobody, which no row states while it holds. "
    "Correct parent_goal_id, or state that goal.",
    66: "goal late serves ended, which no row states while it holds. "
    "Correct parent_goal_id, or state that goal.",
    68: "goal twice is stated by two rows that do not follow each other. "
    "Give each goal its own goal_id; a later row of a goal has the same metric, model and "
    "segment and begins where the one before ends.",
    69: "goal star names no single number: `*` matches several. "
    "Name the model and the segment; `(all)` is all models together.",
    70: "goal flat has no level. Write individual, team or company.",
    71: "a target of csat has a place among the goals and no goal_id. "
    "Fill goal_id in, or empty level and parent_goal_id.",
    72: "a target of view_rate is of all models together and is no goal. "
    "Fill goal_id in, or write * for each model.",
    73: "goal all_churn is of all models together, for which churn_rate of all has no value. "
    "Name a metric whose sums add up, of segment all; or name a model.",
    74: "goal all_emea is of all models together, for which csat of region has no value. "
    "Name a metric whose sums add up, of segment all; or name a model.",
    75: "goal top_heavy of level company serves one of level individual. "
    "Let goals of individuals serve teams, and those of teams the company.",
    77: "goal weightless has the weight -1.0. Write a weight above zero, or none for 1.",
}
"""What the doctor says of goals that form no tree, by the row of the seed."""

# test -> seed it stands on, column of its failing rows, what that column names in them
RULES: dict[str, tuple[str, str, set[str]]] = {
    "products_have_at_most_five_core_metrics": (
        "model_registry",
        "what",
        {
            f"product {product} has 6 core metrics, more than 5: acceptance_rate, adoption_rate, "
            f"conversion_rate, precision, {sixth}, value_per_decision"
            for product, sixth in (("Business sales", "recall"), ("Payments", "recall"))
        },
    ),
    "targets_follow_the_direction_of_their_metric": (
        "metric_targets",
        "what",
        {
            "target 0.4 of precision contradicts its direction up: worse than its floor 0.5",
            "target 0.4 of precision contradicts its direction up: worse than its baseline 0.5",
            "target 0.4 of error_rate contradicts its direction down: worse than its floor 0.3",
            "target -0.4 of prediction_bias contradicts its direction zero: worse than its floor "
            "0.3",
        },
    ),
    "parents_of_targets_form_no_cycle": (
        "metric_targets",
        "what",
        {
            "the parents of accuracy lead back to it for model lead_scoring: "
            "accuracy > value_of_decisions > credited_revenue > accuracy"
        },
    ),
    "goals_form_trees": (
        "metric_targets",
        "what",
        {
            "the parents of goal round_one lead back to it: round_one > round_two > round_one",
            "goal orphan serves nobody, which no row states while it holds",
            "goal late serves ended, which no row states while it holds",
            "goal twice is stated by two rows that do not follow each other",
            "goal star names no single number: `*` matches several",
            "goal flat has no level",
            "a target of csat has a place among the goals and no goal_id",
            "a target of view_rate is of all models together and is no goal",
            "goal all_churn is of all models together, for which churn_rate of all has no value",
            "goal all_emea is of all models together, for which csat of region has no value",
            "goal top_heavy of level company serves one of level individual",
            "goals apac_value and partner_value are overlapping parts of sales_value",
            "goals apac_value and web_value are overlapping parts of sales_value",
            "goal weightless has the weight -1.0",
        },
    ),
    "accepted_values_metric_targets_level": ("metric_targets", "value_field", {"division"}),
    "known_metrics_metric_targets_metric": ("metric_targets", "metric", {"precison"}),
    "known_metrics_cfg_metric_targets_parent": ("metric_targets", "parent", {"impact"}),
    "known_segments_metric_targets_segment_name": (
        "metric_targets",
        "segment_name",
        {"chanel"},
    ),
    "not_null_cfg_metric_targets_owner": ("metric_targets", "segment_value", {"south"}),
    "not_null_cfg_metric_targets_rationale": ("metric_targets", "segment_value", {"east"}),
    "no_overlap_metric_targets": (
        "metric_targets",
        "segment_value",
        {"west"},
    ),
    "no_overlap_cfg_unit_values_model_id__cell": ("unit_values", "cell", {"tp"}),
    "no_overlap_cfg_exchange_rates_currency": ("exchange_rates", "currency", {"EUR"}),
    "valid_to_is_after_valid_from_metric_targets": ("metric_targets", "segment_value", {"back"}),
    "valid_to_is_after_valid_from_unit_values": ("unit_values", "cell", {"fp"}),
    "valid_to_is_after_valid_from_exchange_rates": ("exchange_rates", "currency", {"CHF"}),
    "reference_to_is_not_before_reference_from": (
        "model_registry",
        "model_id",
        {"next_best_offer"},
    ),
    "grain_metric_targets": ("metric_targets", "segment_value", {"same"}),
    "known_metrics_cfg_kpi_links_from_metric": ("kpi_links", "from_metric", {"clicks"}),
    "known_metrics_cfg_kpi_links_to_metric": ("kpi_links", "to_metric", {"happiness"}),
    "known_metrics_alert_rules_metric": ("alert_rules", "metric", {"f1"}),
    "known_metrics_cfg_release_criteria_metric": ("release_criteria", "metric", {"f1"}),
    "accepted_values_cfg_release_criteria_stage"
    "__concept__prototype__validation__approved__deployed": (
        "release_criteria",
        "value_field",
        {"live"},
    ),
    "accepted_values_cfg_release_criteria_period__all__28d": (
        "release_criteria",
        "value_field",
        {"week"},
    ),
    "relationships_cfg_release_criteria_model_id__model_id__ref_cfg_model_registry_": (
        "release_criteria",
        "from_field",
        {"churn"},
    ),
    "minimum_units_are_not_negative": ("release_criteria", "metric", {"recall"}),
    "not_null_cfg_release_criteria_bound": ("release_criteria", "metric", {"error_rate"}),
    "grain_release_criteria": ("release_criteria", "metric", {"view_rate"}),
    "known_metrics_cfg_release_expectations_metric": ("release_expectations", "metric", {"clicks"}),
    "an_expected_change_has_its_ends_in_order": (
        "release_expectations",
        "metric",
        {"accuracy"},
    ),
    "grain_release_expectations": ("release_expectations", "metric", {"view_rate"}),
    "condition_can_be_read_alert_rules": (
        "alert_rules",
        "condition",
        {"value > floor", *(said.split("'")[1] for _, said in CONDITIONS)},
    ),
    "consecutive_days_is_positive_alert_rules": ("alert_rules", "rule_id", {"days"}),
    "input_health_is_known_of_one_day_alert_rules": ("alert_rules", "rule_id", {"health"}),
    "cooldown_days_is_not_negative_alert_rules": ("alert_rules", "rule_id", {"cooldown"}),
    "sla_hours_is_positive_alert_rules": ("alert_rules", "rule_id", {"sla"}),
    "not_null_cfg_alert_rules_condition": ("alert_rules", "rule_id", {"empty"}),
    "not_null_cfg_alert_rules_owner": ("alert_rules", "rule_id", {"owner"}),
    "accepted_values_cfg_alert_rules_tier__technical__experience__business": (
        "alert_rules",
        "value_field",
        {"urgent"},
    ),
    "accepted_values_cfg_alert_rules_period__day__7d__28d": (
        "alert_rules",
        "value_field",
        {"week"},
    ),
    "known_metrics_cfg_experiments_primary_metric": (
        "experiments",
        "primary_metric",
        {"take_rate"},
    ),
    "known_metrics_experiments_secondary_metrics": (
        "experiments",
        "secondary_metrics",
        {"acceptance_rate;delight"},
    ),
    "known_metrics_cfg_experiments_uptake_metric": ("experiments", "uptake_metric", {"uptaking"}),
    "known_metrics_cfg_experiment_guardrails_metric": ("experiment_guardrails", "metric", {"calm"}),
    "relationships_cfg_experiment_guardrails_experiment_id__experiment_id__ref_cfg_experiments_": (
        "experiment_guardrails",
        "from_field",
        {"offer_ranking"},
    ),
    "margins_are_not_negative": ("experiment_guardrails", "metric", {"view_rate"}),
    "guardrails_can_be_lifted": (
        "experiment_guardrails",
        "metric",
        {"conversion_rate", "prediction_bias", "adoption_rate", "view_rate"},
    ),
    "margins_of_an_instrument_are_absolute": (
        "experiment_guardrails",
        "metric",
        {"credited_revenue"},
    ),
    "accepted_values_cfg_experiment_guardrails_margin_kind__relative__absolute": (
        "experiment_guardrails",
        "value_field",
        {"percent"},
    ),
    **{
        f"accepted_values_cfg_experiments_{test}": ("experiments", "value_field", {value})
        for test, value in {
            "unit_type__user__entity__prediction": "household",
            "method__fixed__sequential__group_sequential__did__instrument": "peeking",
            "comparison__randomised__before_after__unmatched": "random",
            "minimum_effect_kind__relative__absolute": "share",
            "decided_on__raw__capped": "winsorised",
        }.items()
    },
    **{
        test: ("experiments", "experiment_id", offenders)
        for test, offenders in {
            "splits_add_up_and_hold_the_control": {
                *("no_control", "empty_control", "short", "negative", "alone"),
                *("twice", "words", "open", "much"),
            },
            "planned_end_is_after_start": {"reversed"},
            "extended_end_is_after_planned_end": {"shrunk"},
            "window_days_are_positive": {"no_window"},
            "covariate_days_are_not_negative": {"ahead"},
            "did_compares_equal_windows": {"unequal"},
            "did_has_equal_halves": {"odd_days"},
            "group_sequential_has_looks": {"unseen"},
            "look_dates_are_in_order": {"unordered", "repeated", "no_day", "short_day"},
            "looks_come_after_the_first_unit_is_mature": {"hasty", "hastier"},
            "primary_metrics_can_be_lifted": {"aimless", "odd_unit", "divided", "no_entity"},
            "secondary_metrics_can_be_lifted": {"unitless", "no_prediction"},
            "uptake_metrics_can_be_lifted": {"divided_uptake"},
            "instrument_has_an_uptake": {"no_uptake"},
            "instrument_has_an_absolute_effect": {"baseless"},
            "minimum_effect_is_positive": {"effortless"},
            "alpha_is_a_rate": {"sure"},
            "power_is_a_rate": {"blind"},
            "expected_units_are_positive": {"nobody"},
            "value_per_unit_is_positive": {"worthless"},
            "value_has_a_currency": {"priceless"},
            "experiments_have_an_exchange_rate": {"foreign"},
        }.items()
    },
    "relationships_cfg_metric_targets_model_id__model_id__ref_cfg_model_registry_": (
        "metric_targets",
        "from_field",
        {"lead_skoring"},
    ),
    "relationships_cfg_kpi_links_model_id__model_id__ref_cfg_model_registry_": (
        "kpi_links",
        "from_field",
        {"churn"},
    ),
    "relationships_cfg_alert_rules_model_id__model_id__ref_cfg_model_registry_": (
        "alert_rules",
        "from_field",
        {"churn"},
    ),
    "relationships_cfg_experiments_model_id__model_id__ref_cfg_model_registry_": (
        "experiments",
        "from_field",
        {"churn"},
    ),
    "relationships_cfg_unit_values_model_id__model_id__ref_cfg_model_registry_": (
        "unit_values",
        "from_field",
        {"churn"},
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A company that breaks every rule, in its seeds and in two cards."""
    copied = Project.copy(tmp_path_factory.mktemp("rules") / "project")
    simulate(out=copied.root / "workspace", predictions=500, days=20, seed=3)
    folder = copied.root / "workspace" / "seeds"
    shutil.copytree(ROOT / "seeds", folder, dirs_exist_ok=True)
    for seed, rows in FAULTS.items():
        path = folder / f"{seed}.csv"
        path.write_text(path.read_text().rstrip("\n") + "\n" + "\n".join(rows) + "\n")
    path = folder / "model_registry.csv"
    path.write_text(path.read_text().replace(REFERENCE, REVERSED))
    path = copied.root / "models" / "metrics" / "_metrics.yml"
    text = card(path.read_text(), "recall", "tier: module", "tier: core")
    path.write_text(card(text, "accuracy", "2027-06-30", DUE))
    return copied


def card(text: str, metric: str, old: str, new: str) -> str:
    """The definitions with one value of a metric's card replaced."""
    before, found, after = text.partition(f"  - name: {metric}\n")
    return before + found + after.replace(old, new, 1)


@pytest.fixture(scope="module")
def built(project: Project) -> Run:
    return project.build(project.root / "workspace", *NO_UNIT_TESTS)


@pytest.mark.slow
def test_every_broken_rule_fails_the_build_by_name(project: Project, built: Run) -> None:
    assert built.status != 0
    failed = re.findall(r"\[ERROR\]: in test (\S+ \(.*\))", built.output)
    expected = [f"{test} (models/config/cfg_{rule[0]}.yml)" for test, rule in RULES.items()]
    assert sorted(failed) == sorted(expected)


@pytest.mark.slow
def test_no_mart_is_built_on_a_broken_rule(project: Project, built: Run) -> None:
    with duckdb.connect(str(project.root / "workspace/warehouse.duckdb"), read_only=True) as found:
        tables = found.sql(
            "select table_name from information_schema.tables where table_schema <> 'main_config'"
        )
        names = {name for (name,) in tables.fetchall()}
    # notes that a build began, which files are new, and which rows they touch
    notes = {"build_starts", "deliveries", "int_delivered_rows", "int_mapped_deliveries"}
    assert notes <= names
    assert {name for name in names - notes if not name.startswith("int_touched_")} == set()


@pytest.mark.slow
def test_a_link_that_no_model_reads_stops_the_marts_too(project: Project, built: Run) -> None:
    run = project.build(
        project.root / "workspace", "--select", "cfg_kpi_links", "dim_metrics", "mart_scorecard"
    )
    assert "known_metrics_cfg_kpi_links_from_metric" in run.output
    for relation in ("main_metrics.dim_metrics", "main_marts.mart_scorecard"):
        assert f"SKIP relation {relation}" in run.output


@pytest.mark.slow
def test_failing_rows_name_the_offender(project: Project, built: Run) -> None:
    told = re.findall(r"in test (\S+) .*?compiled code at (\S+)", built.output, re.DOTALL)
    queries = {test: (project.root / path).read_text() for test, path in told}
    with duckdb.connect(str(project.root / "workspace/warehouse.duckdb"), read_only=True) as found:
        for test, (_, column, offenders) in RULES.items():
            rows = found.sql(f"select {column} from ({queries[test]})").fetchall()
            assert {value for (value,) in rows} == offenders, test


@pytest.mark.slow
def test_a_card_within_its_grace_is_a_warning(built: Run) -> None:
    assert (
        f"metric accuracy was due for review by {DUE}. "
        "Have Model Risk review the card, then set the next review_by."
    ) in built.output
    assert "more than 90 days ago" not in built.output


# throughline doctor


CARD_FAULTS = (
    ("value_of_decisions", "owner: Finance", "owner:"),
    ("precision", "leads_to: value_per_decision", "leads_to: happiness"),
    ("f1_score", "proxy_for: value_per_decision", "proxy_for: delight"),
    ("ignore_rate", "numerator: brick_ignored_decisions", "numerator: brick_overridden_decisions"),
    ("wape", "2027-06-30", "2027-02-30"),
    # within its grace
    ("csat", "2027-06-30", "2026-06-30"),
)


def listed(project: Project) -> list[Finding]:
    workspace = Workspace(
        project=project.root, folder=project.root / "workspace", chosen_by="the test"
    )
    with dbt_process.scratch(workspace) as variables:
        return doctor.check_metrics(workspace, variables=variables)


@pytest.fixture(scope="module")
def found(project: Project) -> list[Finding]:
    """What is told of the broken seeds and of six broken cards."""
    path = project.root / "models" / "metrics" / "_metrics.yml"
    before = path.read_text()
    settings = project.root / "workspace" / "vars.yml"
    default = settings.read_text()
    text = before
    for metric, old, new in CARD_FAULTS:
        text = card(text, metric, old, new)
    path.write_text(text)
    settings.write_text(default + "review_grace_days: 89\n")
    told = listed(project)
    settings.write_text(default)
    path.write_text(before)
    return told


def test_doctor_lists_what_is_wrong_with_criteria_and_expectations(
    project: Project, found: list[Finding]
) -> None:
    lines = {str(finding) for finding in found if "seeds/release" in finding.where}
    known = ", ".join(sorted(doctor.metrics(project.root)))
    criteria = "workspace/seeds/release_criteria.csv, row"
    wishes = "workspace/seeds/release_expectations.csv, row"
    assert lines == {
        f"{criteria} 12, column stage: 'live' is not allowed. "
        "Known: concept, prototype, validation, approved, deployed.",
        f"{criteria} 13, column model_id: unknown model 'churn'. Declare it in model_registry. "
        "Known: *, demand_forecast, fraud_detection, lead_scoring, next_best_offer.",
        f"{criteria} 14, column metric: no metric 'f1'. Known: {known}.",
        f"{criteria} 15, column minimum_units: '-1' breaks the rule minimum_units >= 0. "
        "Correct it: Matured units below which nothing is said; empty for none beside the setting "
        "`minimum_cell`.",
        f"{criteria} 16, column period: 'week' is not allowed. Known: all, 28d.",
        f"{criteria} 17, column bound: empty. Fill it in.",
        f"{criteria} 19: same key as row 18 "
        "(stage validation, model_id lead_scoring, metric view_rate). Keep one.",
        f"{wishes} 9, column metric: no metric 'clicks'. Known: {known}.",
        f"{wishes} 10, column change_high: '0.1' breaks the rule change_low <= change_high. "
        "Correct it: Upper end of the expected change.",
        f"{wishes} 12: same key as row 11 (release_id release-4, metric view_rate). Keep one.",
    }


def test_doctor_lists_all_at_once_with_place_and_fix(
    project: Project, found: list[Finding]
) -> None:
    lines = [
        f"{finding.severity} {finding}"
        for finding in found
        if not re.search("seeds/(experiment|alert_rules|release)", finding.where)
    ]
    seeds = "error workspace/seeds"
    cards = "error models/metrics/_metrics.yml: metric"
    core = (
        "6 core metrics, more than 5: acceptance_rate, adoption_rate, conversion_rate, "
        "precision, recall, value_per_decision. "
        "Set tier: module in the card of those it can do without."
    )
    end = "End the earlier row: valid_to is the first day on which it no longer holds."
    reversed_ = (
        "breaks the rule valid_to > valid_from. "
        "Correct it: First day on which the row no longer holds; open where empty."
    )
    models = "demand_forecast, fraud_detection, lead_scoring, next_best_offer."
    known = ", ".join(sorted(doctor.metrics(project.root)))
    expected = [
        f"{seeds}/exchange_rates.csv, row 7, column valid_to: '2025-06-01' {reversed_}",
        f"{seeds}/exchange_rates.csv, row 6: valid at the same time as row 3 (currency EUR). {end}",
        f"{seeds}/metric_targets.csv, row 42, column owner: empty. Fill it in.",
        f"{seeds}/metric_targets.csv, row 43, column rationale: empty. Fill it in.",
        f"{seeds}/metric_targets.csv, row 58, column valid_to: '2025-06-01' {reversed_}",
        f"{seeds}/metric_targets.csv, row 78, column level: 'division' is not allowed. "
        "Known: individual, team, company.",
        f"{seeds}/metric_targets.csv, row 54: valid at the same time as row 53 (metric precision, "
        f"model_id lead_scoring, segment_name region, segment_value west). {end}",
        f"{seeds}/metric_targets.csv, row 60: valid at the same time as row 59 (metric accuracy, "
        "model_id lead_scoring, segment_name region, segment_value same). Keep one.",
        f"{seeds}/model_registry.csv, row 4, column reference_to: '2026-03-09' breaks the rule "
        "reference_to >= reference_from. Correct it: Last day of the reference period for drift.",
        f"{seeds}/unit_values.csv, row 14, column valid_to: '2024-06-01' {reversed_}",
        f"{seeds}/unit_values.csv, row 12: valid at the same time as row 2 (model_id lead_scoring, "
        f"cell tp). {end}",
        f"{seeds}/kpi_links.csv, row 14, column from_metric: no metric 'clicks'. Known: {known}.",
        f"{seeds}/kpi_links.csv, row 15, column to_metric: no metric 'happiness'. Known: {known}.",
        f"{seeds}/kpi_links.csv, row 16, column model_id: unknown model 'churn'. "
        f"Declare it in model_registry. Known: {models}",
        f"{seeds}/metric_targets.csv, row 38, column metric: no metric 'precison'. "
        "Did you mean 'precision'?",
        f"{seeds}/metric_targets.csv, row 39, column model_id: unknown model 'lead_skoring'. "
        "Declare it in model_registry. Did you mean 'lead_scoring'?",
        f"{seeds}/metric_targets.csv, row 40, column segment_name: no segment 'chanel'. "
        "Did you mean 'channel'?",
        f"{seeds}/metric_targets.csv, row 41, column parent: no metric 'impact'. Known: {known}.",
        f"{seeds}/unit_values.csv, row 13, column model_id: unknown model 'churn'. "
        f"Declare it in model_registry. Known: {models}",
        f"{cards} accuracy was due for review by {DUE}, more than 89 days ago. "
        "Have Model Risk review the card, then set the next review_by.",
        f"{cards} f1_score has proxy_for delight, which is no metric. Known metrics are {known}.",
        f"{cards} precision has leads_to happiness, which is no metric. Known metrics are {known}.",
        f"{cards} value_of_decisions has an incomplete card: owner missing under config.meta. "
        "Fill it in.",
        f"{cards} wape has review_by 2027-02-30, which is no date. Write it as YYYY-MM-DD.",
        f"{cards}s ignore_rate and override_rate have the same definition: overridden_decisions / "
        "shown_decisions. Keep one and give it the other name as a synonym.",
        f"{seeds}/model_registry.csv: product Business sales has {core}",
        f"{seeds}/model_registry.csv: product Payments has {core}",
        f"{seeds}/metric_targets.csv, row 44: target 0.4 of precision contradicts its direction "
        "up: worse than its floor 0.5. "
        "Correct the target, or direction in the metric card or in model_metrics.",
        f"{seeds}/metric_targets.csv, row 45: target 0.4 of precision contradicts its direction "
        "up: worse than its baseline 0.5. "
        "Correct the target, or direction in the metric card or in model_metrics.",
        f"{seeds}/metric_targets.csv, row 55: target 0.4 of error_rate contradicts its direction "
        "down: worse than its floor 0.3. "
        "Correct the target, or direction in the metric card or in model_metrics.",
        f"{seeds}/metric_targets.csv, row 56: target -0.4 of prediction_bias contradicts its "
        "direction zero: worse than its floor 0.3. "
        "Correct the target, or direction in the metric card or in model_metrics.",
        f"{seeds}/metric_targets.csv: the parents of accuracy lead back to it for model "
        "lead_scoring: accuracy > value_of_decisions > credited_revenue > accuracy. "
        "Empty one parent of the chain.",
        *(f"{seeds}/metric_targets.csv, row {row}: {fault}" for row, fault in MISPLACED.items()),
        "warning models/metrics/_metrics.yml: metric csat was due for review by 2026-06-30. "
        "Have Product review the card, then set the next review_by.",
    ]
    # rules over whole seeds come in the order in which dbt knows them
    assert sorted(lines) == sorted(expected)


def test_doctor_lists_the_faults_of_experiments(found: list[Finding]) -> None:
    lines = [str(finding) for finding in found if "seeds/experiment" in finding.where]
    for seed, cases in (("experiments", BROKEN), ("experiment_guardrails", UNGUARDED)):
        sound = len((ROOT / f"seeds/{seed}.csv").read_text().splitlines())
        for number, (_, said) in enumerate(cases, sound + 1):
            place = f"workspace/seeds/{seed}.csv, row {number}, "
            told = [line.removeprefix(place) for line in lines if line.startswith(place)]
            assert any(line.startswith(said) for line in told), (number, said, told)
            # no metric can be read per household
            assert len(told) == 1 + ("household" in said), told
    assert len(lines) == len(BROKEN) + len(UNGUARDED) + 1


def test_doctor_lists_the_faults_of_alert_rules(found: list[Finding]) -> None:
    lines = [str(finding) for finding in found if "seeds/alert_rules" in finding.where]
    sound = len((ROOT / "seeds/alert_rules.csv").read_text().splitlines())
    for number, (_, said) in enumerate(ALERTS, sound + 1):
        place = f"workspace/seeds/alert_rules.csv, row {number}, "
        told = [line.removeprefix(place) for line in lines if line.startswith(place)]
        assert len(told) == 1, (number, said, told)
        assert told[0].startswith(said), (number, said, told)
    assert len(lines) == len(ALERTS)


def test_doctor_says_nothing_of_the_demo_company(project: Project) -> None:
    folder = project.root / "workspace" / "seeds"
    shutil.rmtree(folder)
    definitions = project.root / "models" / "metrics" / "_metrics.yml"
    shutil.copy(ROOT / "models" / "metrics" / "_metrics.yml", definitions)
    assert listed(project) == []
