"""Metrics are governed: adding one touches one file, and a bad one stops the build by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from building import NO_UNIT_TESTS, WITHOUT_TESTS, Project, query
from throughline import doctor
from throughline.simulate import simulate

pytestmark = pytest.mark.slow

CARD = """\
    config:
      meta:
        kind: usage
        io_class: output
        leads_to: revenue_per_active_user_day
        pillar: experience
        tier: module
        tasks: [binary, ranking]
        unit: share
        unit_of_count: decisions
        direction: up
        owner: Product
        approver: Product
        frequency: weekly
        rationale: A decision nobody was shown cannot change anything.
        so_what: Find out which surface hides them.
        minimum_meaningful_lift: 0.02
        review_by: "2027-06-30"
"""
SHOWN_RATE = f"""
  - name: shown_rate
    label: Shown rate
    description: Share of decisions that a user was shown.
    type: ratio
    type_params:
      numerator: brick_shown_decisions
      denominator: brick_decisions
{CARD}"""


AS_OF = date(2026, 7, 1)
GRACE_ENDS = AS_OF - timedelta(days=90)
OVERDUE = str(GRACE_ENDS - timedelta(days=1))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    copied = Project.copy(tmp_path_factory.mktemp("metrics") / "project")
    simulate(out=copied.root / "workspace", predictions=1_000, days=30, seed=3)
    return copied


@pytest.fixture
def definitions(project: Project) -> Iterator[Path]:
    """The file of metric definitions, restored afterwards."""
    path = project.root / "models" / "metrics" / "_metrics.yml"
    before = path.read_text()
    yield path
    path.write_text(before)


@pytest.fixture
def facts(project: Project) -> Iterator[Path]:
    """The file of the bricks of decisions, restored afterwards."""
    path = project.root / "models" / "core" / "fct_decisions.yml"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_a_metric_is_added_in_one_file(project: Project, definitions: Path) -> None:
    definitions.write_text(definitions.read_text() + SHOWN_RATE)
    workspace = project.root / "workspace"
    run = project.build(workspace, *NO_UNIT_TESTS)
    assert run.status == 0, run.output

    waist = query(
        workspace,
        "select sum(numerator) as n, sum(denominator) as d from fct_metrics"
        " where metric = 'shown_rate' and segment_name = 'all'",
    )
    facts = query(
        workspace,
        "select sum(shown_count) as n, sum(decision_count) as d from fct_decisions",
    )
    assert waist.n[0] == facts.n[0] > 0
    assert waist.d[0] == facts.d[0]
    card = query(workspace, "select * from dim_metrics where metric = 'shown_rate'")
    assert card.formula[0] == "shown_decisions / decisions"
    assert card.formula_in_words[0] == "Decisions a user was shown / Decisions"
    assert card.rationale[0] == "A decision nobody was shown cannot change anything."
    segments = query(
        workspace, "select distinct segment_name from fct_metrics where metric = 'shown_rate'"
    )
    assert set(segments.segment_name) == {"all", "channel", "device", "region"}
    assert (
        query(workspace, "select count(*) as n from mart_scorecard where metric = 'shown_rate'").n[
            0
        ]
        == 3
    )
    answer = project.metricflow(
        workspace, [{"metrics": ["shown_rate"], "group_by": ["metric_time__year"]}]
    )[0]
    assert answer.shown_rate[0] == pytest.approx(waist.n[0] / waist.d[0], rel=1e-12)


def test_the_hash_follows_the_definition_and_nothing_else(
    project: Project, definitions: Path, facts: Path
) -> None:
    workspace = project.root / "workspace"

    def hashes() -> dict[str, str]:
        run = project.build(workspace, "--select", "dim_metrics", *WITHOUT_TESTS)
        assert run.status == 0, run.output
        rows = query(workspace, "select metric, definition_hash from dim_metrics")
        return dict(zip(rows.metric, rows.definition_hash, strict=True))

    before = hashes()
    text = definitions.read_text()
    text = text.replace("owner: Product", "owner: Somebody else")
    definitions.write_text(
        text.replace("denominator: brick_shown_decisions", "denominator: brick_decisions", 1)
    )
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == {"acceptance_rate"}
    facts.write_text(facts.read_text().replace("expr: shown_count", "expr: viewed_count"))
    again = hashes()
    assert {name for name in before if after[name] != again[name]} == {
        "exposure_rate",
        "view_rate",
        "override_rate",
        "ignore_rate",
    }


NO_BRICK_FORMULA = (
    "metric shown_rate is neither a brick nor brick / brick: type simple over a measure or ratio "
    "of two measures, without filter, offset or fill. Write it as one, or make a new brick."
)
LIST_TASKS = "List some of binary, multiclass, regression, ranking."
BAD_CARDS = {
    "card without owner and unit": (
        SHOWN_RATE.replace("        owner: Product\n", "").replace("        unit: share\n", ""),
        "metric shown_rate has an incomplete card: unit, owner missing under config.meta. "
        "Fill it in.",
    ),
    "no card": (
        SHOWN_RATE.replace(CARD, ""),
        "metric shown_rate has an incomplete card: kind, io_class, pillar, tier, tasks, unit, "
        "unit_of_count, direction, owner, approver, frequency, rationale, so_what, "
        "minimum_meaningful_lift, review_by missing under config.meta. Fill it in.",
    ),
    "empty rationale": (
        re.sub("rationale: .*", 'rationale: " "', SHOWN_RATE),
        "metric shown_rate has an incomplete card: rationale missing under config.meta. "
        "Fill it in.",
    ),
    "vanity": (
        SHOWN_RATE.replace("        leads_to: revenue_per_active_user_day\n", ""),
        "metric shown_rate is an output that leads to no outcome metric (vanity). "
        "Name one of churn_rate, close_rate, conversion_rate, credited_revenue, "
        "renewal_rate, retained_customers, revenue_per_active_user_day, revenue_per_decision, "
        "review_hours, ticket_count, value_of_decisions, value_per_decision as leads_to.",
    ),
    "leads to another output": (
        SHOWN_RATE.replace("leads_to: revenue_per_active_user_day", "leads_to: precision"),
        "metric shown_rate is an output that leads to no outcome metric (vanity). "
        "Name one of churn_rate, close_rate, conversion_rate, credited_revenue, "
        "renewal_rate, retained_customers, revenue_per_active_user_day, revenue_per_decision, "
        "review_hours, ticket_count, value_of_decisions, value_per_decision as leads_to.",
    ),
    "derived": (
        SHOWN_RATE.replace(
            "type: ratio\n    type_params:\n      numerator: brick_shown_decisions\n"
            "      denominator: brick_decisions",
            "type: derived\n    type_params:\n      expr: brick_shown_decisions - brick_decisions\n"
            "      metrics: [brick_shown_decisions, brick_decisions]",
        ),
        NO_BRICK_FORMULA,
    ),
    "ratio of a metric": (
        SHOWN_RATE.replace("denominator: brick_decisions", "denominator: precision"),
        NO_BRICK_FORMULA,
    ),
    "filter": (
        SHOWN_RATE.replace(
            "    type: ratio\n",
            "    type: ratio\n    filter: \"{{ Dimension('decision__model_version') }} = 'v1'\"\n",
        ),
        NO_BRICK_FORMULA,
    ),
    "filter inside": (
        SHOWN_RATE.replace(
            "numerator: brick_shown_decisions",
            "numerator: {name: brick_shown_decisions, filter: "
            "\"{{ Dimension('decision__model_version') }} = 'v1'\"}",
        ),
        NO_BRICK_FORMULA,
    ),
    "offset": (
        SHOWN_RATE.replace(
            "denominator: brick_decisions",
            "denominator: {name: brick_decisions, offset_window: 7 days}",
        ),
        NO_BRICK_FORMULA,
    ),
    "unknown task": (
        SHOWN_RATE.replace("tasks: [binary, ranking]", "tasks: [binry]"),
        f"metric shown_rate has tasks ['binry'], which is no list of tasks. {LIST_TASKS}",
    ),
    "no task": (
        SHOWN_RATE.replace("tasks: [binary, ranking]", "tasks: []"),
        f"metric shown_rate has tasks [], which is no list of tasks. {LIST_TASKS}",
    ),
    "lift in words": (
        SHOWN_RATE.replace("minimum_meaningful_lift: 0.02", "minimum_meaningful_lift: two"),
        "metric shown_rate has minimum_meaningful_lift two, which is no number. Write a number.",
    ),
    "performance without what it leaves out": (
        SHOWN_RATE.replace("pillar: experience", "pillar: performance"),
        "metric shown_rate is of pillar performance and must name the brick it leaves out. "
        "Add excluded.",
    ),
    "leaves out an unknown brick": (
        SHOWN_RATE.replace("tier: module", "tier: module\n        excluded: nothing"),
        "metric shown_rate excludes nothing, which is no brick. "
        "Name the brick that counts what is left out.",
    ),
    "unknown direction": (
        SHOWN_RATE.replace("direction: up", "direction: sideways"),
        "metric shown_rate has direction sideways, which is not one of up, down, zero. Choose one.",
    ),
    "misspelt key": (
        SHOWN_RATE.replace("tier: module", "tier: module\n        sinonyms: [a]"),
        "metric shown_rate has an unknown card key sinonyms. Known keys are kind, io_class, "
        "leads_to, pillar, tier, tasks, unit, unit_of_count, direction, owner, approver, "
        "frequency, rationale, so_what, excluded, counted_by, proxy_for, "
        "minimum_meaningful_lift, review_by, synonyms, certified_hash, read_where, follows_label, "
        "is_proportion, balance_points, shape.",
    ),
    "leads to nothing known": (
        SHOWN_RATE.replace("leads_to: revenue_per_active_user_day", "leads_to: revenue"),
        "metric shown_rate has leads_to revenue, which is no metric. Known metrics are ALL.",
    ),
    "proxy for nothing known": (
        SHOWN_RATE.replace("tier: module", "tier: module\n        proxy_for: happiness"),
        "metric shown_rate has proxy_for happiness, which is no metric. Known metrics are ALL.",
    ),
    "review long overdue": (
        SHOWN_RATE.replace("2027-06-30", OVERDUE),
        f"metric shown_rate was due for review by {OVERDUE}, more than 90 days ago. "
        "Have Product review the card, then set the next review_by.",
    ),
    "review by no date": (
        SHOWN_RATE.replace("2027-06-30", "next summer"),
        "metric shown_rate has review_by next summer, which is no date. Write it as YYYY-MM-DD.",
    ),
    "review on a day that no calendar has": (
        SHOWN_RATE.replace("2027-06-30", "2027-02-30"),
        "metric shown_rate has review_by 2027-02-30, which is no date. Write it as YYYY-MM-DD.",
    ),
    "review on a leap day of no leap year": (
        SHOWN_RATE.replace("2027-06-30", "2027-02-29"),
        "metric shown_rate has review_by 2027-02-29, which is no date. Write it as YYYY-MM-DD.",
    ),
    "review in the year 0": (
        SHOWN_RATE.replace("2027-06-30", "0000-06-30"),
        "metric shown_rate has review_by 0000-06-30, which is no date. Write it as YYYY-MM-DD.",
    ),
}


# by brick: what is written instead of a part of it, and what is said of it
BAD_BRICKS = {
    "viewed_decisions": (
        "        expr:",
        "        agg_time_dimension: matured_date\n        expr:",
        "has an agg_time_dimension of its own: a brick is dated and summed like its fact. "
        "Take it out, or make a fact of that date.",
    ),
    "excluded_decisions": (
        "agg: sum",
        "agg: average",
        "has agg average: a brick is a sum. "
        "Write the condition into a column or a case and use agg: sum.",
    ),
    "shown_decisions": (
        "known_after: settled",
        "known_after: setled",
        "has known_after setled, which is not one of event, settled, outcome, label. Choose one.",
    ),
    "accepted_decisions": (
        ", settled_at: acted_at",
        "",
        "is known once it is settled, and nothing says when. Name the column of "
        "fct_decisions under config.meta.settled_at.",
    ),
    "ignored_decisions": (
        "settled_at: shown_at",
        "settled_at: seen_at",
        "has settled_at seen_at, which is no column of fct_decisions. Name one of its columns.",
    ),
}


def test_bad_definitions_stop_the_build_by_name(
    project: Project, definitions: Path, facts: Path
) -> None:
    """All at once: each metric is renamed, so that each message stands for itself."""
    text = definitions.read_text()
    expected = [f"brick {name} {told}" for name, (_, _, told) in BAD_BRICKS.items()]
    expected.append(
        "brick stray lacks the prefix brick_, which keeps its name from those of other projects. "
        "Name the measure brick_stray."
    )
    for number, (bad, message) in enumerate(BAD_CARDS.values()):
        name = f"shown_rate_{number}"
        text += bad.replace("name: shown_rate\n", f"name: {name}\n").replace(
            "label: Shown rate", f"label: Shown rate {number}"
        )
        expected.append(message.replace("shown_rate", name))
        # what is no formula has no hash, and so no twin
        if number and message != NO_BRICK_FORMULA and "no brick" not in message:
            expected.append(
                f"metrics shown_rate_0 and {name} have the same definition: "
                "shown_decisions / decisions. Keep one and give it the other name as a synonym."
            )
    definitions.write_text(text)
    bricks = facts.read_text().replace(
        "    measures:\n", MATURED_DATE + "    measures:\n" + STRAY, 1
    )
    for name, (old, new, _) in BAD_BRICKS.items():
        before, found, after = bricks.partition(f"      - name: brick_{name}\n")
        assert old in after
        bricks = before + found + after.replace(old, new, 1)
    facts.write_text(bricks)
    known = ", ".join(sorted(doctor.metrics(project.root)))
    run = project.build(project.root / "workspace")
    assert run.status != 0
    told = next(line for line in run.output.splitlines() if " | " in line)
    assert sorted(told.strip().split(" | ")) == sorted(
        message.replace("ALL", known) for message in expected
    )
    assert "stg_prediction_logs" not in run.output


def test_no_empty_waist_is_built(project: Project) -> None:
    """Also where bricks are left, whose metrics are their own."""
    path = project.root / "dbt_project.yml"
    before = path.read_text()
    for kind in ("metrics", "saved-queries", "exposures"):
        path.write_text(f"{path.read_text()}\n{kind}: {{throughline: {{+enabled: false}}}}\n")
    try:
        run = project.build(project.root / "workspace", "--select", "fct_bricks")
    finally:
        path.write_text(before)
    assert run.status != 0
    assert re.findall(r"hands over .*", run.output) == [
        "hands over no metrics, so every number would be empty. "
        "Build with dbt 1.12; where it is that, leave some metrics of throughline enabled."
    ]


def test_a_metric_has_another_name_than_all_bricks(project: Project, definitions: Path) -> None:
    text = SHOWN_RATE.replace("name: shown_rate", "name: shown_decisions")
    definitions.write_text(definitions.read_text() + text)
    run = project.build(project.root / "workspace")
    assert run.status != 0
    assert "metric shown_decisions has the name of a brick. Choose another." in run.output


STRAY = """\
      - name: stray
        description: Decisions, by a name that another project may have.
        agg: sum
        expr: decision_count
        create_metric: true
"""
MATURED_DATE = """\
      - name: matured_date
        type: time
        expr: matures_at
        type_params: {time_granularity: day}
"""
