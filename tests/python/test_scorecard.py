"""The scorecard: what it says of which marts, in which width, and where it cannot."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from rich.console import Console

from building import ROOT, Project, query
from conftest import Company, Outcome
from throughline import publish, scorecard, sql, warehouse
from throughline.findings import UserError
from throughline.scorecard import Page, Row, Tables
from throughline.workspace import Workspace, at

Call = Callable[..., Outcome]
LAST_DAY = date(2026, 6, 30)
MATURED = date(2026, 5, 29)


def metric(**given: Any) -> Row:
    """A row of mart_scorecard: a share that is on target unless told otherwise."""
    row = {
        "model_id": "lead",
        "metric": "precision",
        "label": "Precision",
        "segment_name": "all",
        "segment_value": "all",
        "pillar": "performance",
        "role": "headline",
        "owner": "Data Science",
        "unit": "share",
        "unit_of_count": "decisions",
        "direction": "up",
        "status": "on_target",
        "not_ready_reason": None,
        "next_step": "Raise the threshold.",
        "value": 0.5,
        "value_low": 0.4,
        "value_high": 0.6,
        "previous_value": 0.4,
        "is_beyond_noise": None,
        "target": 0.45,
        "floor": 0.3,
        "expected_value": None,
        "projected_value": None,
        "outlook": None,
        "unit_count": 200,
        "due": None,
        "window_start_date": date(2026, 6, 3),
        "window_end_date": LAST_DAY,
    }
    assert given.keys() <= row.keys()
    return row | given


def missing(reason: str, **given: Any) -> Row:
    none = dict.fromkeys(("value", "value_low", "value_high", "previous_value"))
    return metric(status="not_ready", not_ready_reason=reason, **none, **given)


def month(start: str, **given: Any) -> Row:
    """A row of mart_value_ledger: 1,000 of value at a cost of 200."""
    row = {
        "model_id": "lead",
        "currency": "USD",
        "month_start_date": date.fromisoformat(start),
        "is_complete": True,
        "matured_share": 0.95,
        "value_reason": None,
        "cost_reason": None,
        "matured_value_amount": 1000.0,
        "total_cost_amount": 200.0,
        "net_value_amount": 800.0,
        "roi": 4.0,
    }
    assert given.keys() <= row.keys()
    return row | given


def read_for(**given: Any) -> Row:
    """A row of dim_model_metrics: a metric that waits for predictions alone."""
    row = {
        "model_id": "lead",
        "metric": "availability",
        "waits_for": "prediction_logs",
        "known_from": date(2026, 1, 15),
        "delivered_through": LAST_DAY,
        "matured_through": LAST_DAY,
    }
    assert given.keys() <= row.keys()
    return row | given


def decision(**given: Any) -> Row:
    """A row of the mart of decisions: a win by an interval in percent."""
    row = {
        "experiment_id": "call_first",
        "variant": "treatment",
        "model_id": "lead",
        "owner": "Head of Sales",
        "primary_metric": "precision",
        "direction": "up",
        "method": "cuped",
        "totals": "raw",
        "decision": "ship",
        "reason": None,
        "minimum_effect_kind": "relative",
        "estimate": 0.02,
        "decision_low": 0.05,
        "decision_high": 0.15,
        "value_at_stake_amount": 12_345.0,
        "value_at_stake_low_amount": 1_000.0,
        "value_at_stake_high_amount": 23_000.0,
        "currency": "USD",
        "as_of": date(2026, 7, 1),
    }
    assert given.keys() <= row.keys()
    return row | given


def card(label: str, **given: Any) -> Row:
    """A row of mart_metric_catalog."""
    found = {
        "metric": label.lower().replace(" ", "_"),
        "label": label,
        "unit": "share",
        "owner": "Data Science",
        "review_state": "current",
    }
    return found | given


ESTIMATE = {
    "experiment_id": "call_first",
    "variant": "treatment",
    "metric": "precision",
    "method": "cuped",
    "totals": "raw",
    "segment_name": "all",
    "relative_lift": 0.1,
}


def tables(**given: list[Row]) -> Tables:
    """What is read of one model whose labels take a month; `given` replaces relations."""
    found: Tables = {
        "dim_models": [{"model_id": "lead", "model_name": "Lead scoring"}],
        "dim_model_metrics": [
            read_for(),
            read_for(
                metric="value_of_decisions", waits_for="business_outcomes", matured_through=MATURED
            ),
            read_for(metric="cost_per_prediction", waits_for="serving_costs"),
        ],
        "mart_scorecard": [metric()],
        "mart_value_ledger": [
            month("2026-03-01", net_value_amount=700.0),
            month("2026-04-01"),
            month("2026-05-01"),
            month("2026-06-01"),
        ],
        "mart_metric_catalog": [card("Precision")],
        "mart_experiments": [],
        scorecard.DECISIONS: [],
    }
    assert given.keys() <= found.keys()
    return found | given


def said(found: Tables, *, width: int = 120, is_all: bool = False) -> str:
    """What is printed where no terminal is."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    scorecard.print_card(scorecard.compose(found), console=console, is_all=is_all)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def line(text: str, begin: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(begin)]
    return " ".join(found.split())


# Money


def test_money_is_that_of_the_last_month_whose_labels_have_matured() -> None:
    assert line(said(tables()), "April") == (
        "April 2026: value 1,000, cost 200.00, net 800.00 USD (March: 700.00), ROI 4.00, "
        "95% matured."
    )


def test_a_month_that_began_before_the_data_is_no_month_to_compare_with() -> None:
    second = date(2026, 3, 2)
    began = [read_for(known_from=second), read_for(known_from=second, matured_through=MATURED)]
    assert "net 800.00 USD (no whole month before), ROI" in said(tables(dim_model_metrics=began))
    # costs that began later than all else
    late = read_for(waits_for="serving_costs", known_from=date(2026, 4, 1))
    found = tables(dim_model_metrics=[*tables()["dim_model_metrics"][:2], late])
    assert "April 2026: value 1,000, cost 200.00, net 800.00 USD (no whole month" in said(found)


def test_costs_that_stopped_are_named_with_the_month_they_stopped_in() -> None:
    stopped = {
        "cost_reason": "serving_costs_not_delivered",
        **dict.fromkeys(("total_cost_amount", "net_value_amount", "roi")),
    }
    ledger = [month("2026-03-01"), month("2026-04-01", **stopped), month("2026-05-01", **stopped)]
    text = said(tables(mart_value_ledger=ledger), width=80)
    assert (
        "March 2026: value 1,000, cost 200.00, net 800.00 USD (no whole month before), ROI 4.00, "
        "95% matured. April 2026: its last days have no serving_costs yet; ask who delivers them. "
    ) in " ".join(text.split())
    none = said(tables(mart_value_ledger=ledger[1:]))
    assert (
        "April 2026: cost and net unknown, value 1,000 USD (no whole month before), 95% matured. "
        "Cost: its last days have no serving_costs yet; ask who delivers them."
    ) in " ".join(none.split())


def test_nobody_is_asked_for_a_table_that_the_settings_leave_out() -> None:
    amounts = dict.fromkeys(("total_cost_amount", "net_value_amount", "roi"))
    left_out = {"cost_reason": "serving_costs_left_out", **amounts}
    ledger = [month(f"2026-0{number}-01", **left_out) for number in (3, 4, 5)]
    ledger[0]["matured_value_amount"] = 900.0
    assert (
        "April 2026: cost and net unknown, value 1,000 USD (March: 900.00), 95% matured. "
        "Cost: the setting inputs leaves serving_costs out."
    ) in " ".join(said(tables(mart_value_ledger=ledger)).split())
    # neither is known: May has not matured, and nothing before it is delivered
    assert (
        "No month is known in full. May 2026: the setting inputs leaves serving_costs out.\n"
    ) in said(tables(mart_value_ledger=ledger[2:]))


def test_a_first_month_that_is_not_over_is_waited_for() -> None:
    found = said(tables(mart_value_ledger=[month("2026-06-01", is_complete=False)]))
    assert "No month is known in full. The data hold no whole one yet.\n" in found


def test_decisions_without_a_unit_value_have_a_cost_alone() -> None:
    unvalued = dict.fromkeys(("matured_value_amount", "net_value_amount", "roi"))
    ledger = [month("2026-03-01", **unvalued), month("2026-04-01", **unvalued)]
    text = " ".join(said(tables(mart_value_ledger=ledger)).split())
    assert (
        "April 2026: value and net unknown, cost 200.00 USD (March: 200.00), 95% matured. "
        "Value: no decision has a class, a positive case or a unit value; "
    ) in text


# Metrics


def test_a_metric_is_a_line_under_its_window() -> None:
    rows = [
        metric(value=0.25, is_beyond_noise=True, status="breached"),
        metric(metric="recall", label="Recall", is_beyond_noise=False, target=None, floor=None),
        metric(
            metric="value_of_decisions",
            label="Value of decisions",
            unit="currency",
            value=12_345.0,
            previous_value=10_000.0,
            target=20_000.0,
            floor=None,
            status="behind",
            window_end_date=MATURED,
        ),
    ]
    wide, narrow = (said(tables(mart_scorecard=rows), width=width) for width in (120, 80))
    assert line(wide, "28 days to 2026-06-30") == (
        "28 days to 2026-06-30 pillar n value before change target floor status"
    )
    assert line(wide, "Precision") == (
        "Precision performance 200 25.0% 40.0% -15.0pp* 45.0% 30.0% breached"
    )
    assert line(narrow, "28 days to 2026-06-30") == (
        "28 days to 2026-06-30 n value before change target status"
    )
    assert line(narrow, "Precision ") == "Precision 200 25.0% 40.0% -15.0pp* 45.0% breached"
    assert line(narrow, "Recall") == "Recall 200 50.0% 40.0% +10.0pp~ on_target"
    assert line(narrow, "28 days to 2026-05-29") == "28 days to 2026-05-29"
    assert (
        line(narrow, "Value of decisions") == "Value of decisions 200 12.3k 10.0k +23% 20.0k behind"
    )
    assert "* the change is beyond noise" in narrow
    assert "beyond noise" not in said(tables())


def test_at_most_eight_are_shown_and_one_of_each_pillar_before_the_second_of_another() -> None:
    pillars = ("performance", "experience", "impact", "efficiency", "risk")
    rows = [
        metric(metric=f"m{number}", label=f"Metric {number:02}", pillar="performance")
        for number in range(10)
    ]
    rows += [
        metric(metric=pillar, label=f"Of {pillar}", pillar=pillar, role="judged")
        for pillar in pillars
    ]
    rows += [metric(metric="late", label="Late", role="judged", status="breached", value=0.1)]
    rows += [metric(metric=f"w{n}", label=f"Watched {n}", role="watched") for n in range(12)]
    text = said(tables(mart_scorecard=rows), width=80)
    shown = [line.split("  ")[0] for line in text.splitlines() if line.endswith("_target")]
    assert shown == [
        *("Metric 00", "Metric 01", "Metric 02"),
        *(f"Of {pillar}" for pillar in sorted(pillars[1:])),
    ]
    assert "Late " in text
    assert "20 more: throughline scorecard --all\n" in text
    whole = said(tables(mart_scorecard=rows), width=80, is_all=True)
    assert all(row["label"] in whole for row in rows)
    assert "--all" not in whole


def test_what_is_missing_says_what_to_do() -> None:
    rows = [
        metric(),
        missing("too_few_units", metric="csat", label="Satisfaction", unit_count=3),
        missing("too_few_units", metric="nps", label="Promoters", unit_count=4),
        missing("serving_costs_not_delivered", metric="cost", label="Cost"),
    ]
    text = said(tables(mart_scorecard=rows))
    assert line(text, "Satisfaction") == "Satisfaction performance 3 45.0% 30.0% not_ready"
    assert (
        "too_few_units, Promoters, Satisfaction: fewer units than the setting minimum_cell; read a "
        "longer period.\n"
    ) in text
    assert (
        "serving_costs_not_delivered, Cost: its last days have no serving_costs yet; ask who "
        "delivers them.\n"
    ) in text


def test_every_reason_has_a_sentence_of_its_own() -> None:
    declared = yaml.safe_load((ROOT / "models/metrics/fct_metric_values.yml").read_text())
    (reasons,) = [
        test["accepted_values"]["arguments"]["values"]
        for column in declared["models"][0]["columns"]
        if column["name"] == "reason"
        for test in column["data_tests"]
    ]
    sources = {table["name"] for table in raw_tables()}
    for reason in reasons:
        source = reason.removesuffix(scorecard.OF_A_SOURCE)
        is_of_a_kind = source.endswith(scorecard.OF_A_KIND) and source not in sources
        assert reason in scorecard.WHAT_TO_DO or source in sources or is_of_a_kind, reason
        told = scorecard.what_to_do(reason)
        assert told is not None
        # nobody can ask for a table that does not exist
        assert is_of_a_kind == ("have stopped" in told), reason


def raw_tables() -> list[dict[str, Any]]:
    declared = yaml.safe_load((ROOT / "models/staging/_sources.yml").read_text())
    tables: list[dict[str, Any]] = declared["sources"][0]["tables"]
    return tables


@pytest.mark.parametrize("width", [80, 110, 120, 200])
def test_no_line_is_wider_than_the_page_and_no_label_is_broken(width: int) -> None:
    rows = [
        metric(
            metric=f"m{number}",
            label=f"Weighted absolute percentage err {number}",
            unit=unit,
            value=value,
            previous_value=-value,
            is_beyond_noise=True,
            target=value,
            floor=value,
            unit_count=99_999,
            status="on_the_way",
        )
        for number, (unit, value) in enumerate(
            [("share", 0.12345), ("currency", 1234.5), ("count", 98_765.0), ("number", 0.012)]
        )
    ]
    text = said(tables(mart_scorecard=rows, mart_experiment_decisions=[decision()]), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert all(f"Weighted absolute percentage err {number} " in text for number in range(4))
    assert "…" not in text


def test_a_label_that_no_page_holds_is_cut_in_its_line() -> None:
    text = said(tables(mart_scorecard=[metric(label="Long " * 40)]), width=80)
    (row,) = [line for line in text.splitlines() if line.startswith("Long ")][:1]
    assert "…" in row
    assert len(row) <= 80


def test_numbers_take_few_places() -> None:
    shares = (0.5, 1.0, 0.0, 0.004, -0.25)
    assert [scorecard.short(value, unit="share") for value in shares] == (
        ["50.0%", "100%", "0.0%", "0.40%", "-25.0%"]
    )
    amounts = (0.0, 0.0004, 0.5, 12.345, -123.45, 1234.5, 12_345.0, -123_456.0, 1.2e6, 3.4e9)
    assert [scorecard.short(value, unit="currency") for value in amounts] == (
        ["0.00", "0.0004", "0.500", "12.35", "-123.5", "1,234", "12.3k", "-123k", "1.20M", "3.40G"]
    )
    assert scorecard.short(None, unit="share") == ""


# Experiments and next steps


def test_an_experiment_has_its_lift_its_decision_and_a_year_of_money() -> None:
    found = tables(mart_experiments=[ESTIMATE], mart_experiment_decisions=[decision()])
    assert (
        "call_first: ship. Precision +10.0% [+5.0%, +15.0%]. At stake in a year: 12.3k USD "
        "[1,000, 23.0k]. (Head of Sales)\n"
    ) in said(found, width=200)


def test_an_effect_that_is_absolute_and_better_below_is_said_as_it_happened() -> None:
    made = decision(
        direction="down",
        minimum_effect_kind="absolute",
        estimate=-0.02,
        decision_low=0.01,
        decision_high=0.03,
        decision="extend",
        reason="underpowered",
        value_at_stake_amount=None,
    )
    other = decision(variant="third", decision_low=None, decision_high=None)
    text = said(tables(mart_experiment_decisions=[made, other]), width=200)
    assert (
        "call_first, treatment: extend (underpowered). Precision -2.0pp [-3.0pp, -1.0pp]. "
        "(Head of Sales)\n"
    ) in text
    assert "call_first, third: ship. Precision is not known. At stake" in text


def test_next_steps_begin_with_floors_and_name_owners() -> None:
    rows = [
        metric(metric="a", label="A", status="behind"),
        metric(metric="a", label="A", status="behind", segment_name="channel", segment_value="web"),
        metric(metric="a", label="A", status="off_target", segment_name="c", segment_value="app"),
        metric(metric="b", label="B", status="breached", role="judged", owner="Ann"),
    ]
    cards = [card("B", review_state="overdue", owner="Bob"), card("Z")]
    text = said(tables(mart_scorecard=rows, mart_metric_catalog=cards))
    assert text.split("Next steps")[1].splitlines()[1:] == [
        "1. Lead scoring, B misses its floor: Raise the threshold. (Ann)",
        "2. Lead scoring, A, app misses its target: Raise the threshold. (Data Science)",
        "3. Lead scoring, A is behind its target: Raise the threshold. (Data Science)",
        "4. B is due for review: Read its card again and set review_by anew. (Bob)",
    ]


def test_no_floor_is_missed_only_where_one_was_judged() -> None:
    assert "No floor is missed, of 1 that was judged.\n" in said(tables())
    unjudged = [
        metric(floor=None),
        missing("no_data", metric="recall", label="Recall"),
    ]
    text = said(tables(mart_scorecard=unjudged))
    assert "No floor" not in text
    assert "Nothing is judged: no metric has both a floor and a value." in text
    breached = said(tables(mart_scorecard=[metric(status="breached")]))
    assert "No floor" not in breached
    assert "Nothing is judged" not in breached


# The moment


def test_an_as_of_past_the_data_is_said_first() -> None:
    stale = [read_for(delivered_through=date(2026, 3, 9)), read_for(waits_for=None)]
    text = said(tables(dim_model_metrics=stale))
    assert text.startswith(
        "as_of lies past the data: it is 2026-07-01, and the last prediction is of 2026-03-10. "
    )
    assert said(tables()).startswith("Scorecard as of 2026-07-01\n")


def test_a_model_without_predictions_is_named_as_such() -> None:
    models = [*tables()["dim_models"], {"model_id": "churn", "model_name": "Churn"}]
    text = said(tables(dim_models=models))
    assert "── Churn ──" in text
    assert "Nothing is read for it: none of its predictions is delivered.\n" in text


# Where it is read from


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "models/staging").mkdir(parents=True)
    (tmp_path / "models/staging/_sources.yml").write_text("sources: [{name: raw, tables: []}]\n")
    (tmp_path / "ws").mkdir()
    return at(tmp_path / "ws", project=tmp_path, chosen_by="test")


def literal(value: Any) -> str:
    if isinstance(value, date):
        return f"date '{value}'"
    return sql.literal(value) if isinstance(value, str) else json.dumps(value)


def write(file: Path, found: Mapping[str, Iterable[Row]], *, schema: str = "main") -> None:
    """Makes relations of rows, empty ones of a row that is taken away again."""
    with duckdb.connect(str(file)) as connection:
        for name, rows in found.items():
            place = sql.relation(f"{schema}_{scorecard.RELATIONS[name]}", name)
            connection.execute(f"create schema if not exists {place.rsplit('.', 1)[0]}")
            selects = [
                "select " + ", ".join(f"{literal(value)} as {key}" for key, value in row.items())
                for row in rows
            ]
            query = " union all by name ".join(selects) or "select 1 as nothing limit 0"
            connection.execute(f"create table {place} as {query}")


def shown(workspace: Workspace, **given: Any) -> str:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    scorecard.show(workspace, console=console, **given)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_build_ends_with_the_scorecard_and_where_to_look_next(workspace: Workspace) -> None:
    write(workspace.warehouse, tables())
    text = shown(workspace, is_built=True)
    assert text.startswith(said(tables(), width=80))
    assert "\nMarts     ws/warehouse.duckdb, schema main_marts\n" in text
    assert "throughline exec -- mf query --metrics precision --group-by metric_time__month" in text


def test_it_is_that_of_the_schemas_built(workspace: Workspace) -> None:
    found = replace(workspace, schema="Sales-EU")
    write(workspace.warehouse, tables(), schema="Sales-EU")
    assert 'Trends    "Sales-EU_marts".mart_metric_timeline\n' in shown(found)
    assert "Precision" in shown(found)
    assert "Scorecard" not in shown(workspace)


def test_the_published_copy_is_read_where_there_is_one(workspace: Workspace) -> None:
    write(workspace.warehouse, tables(mart_scorecard=[metric(metric="built")]))
    assert scorecard.of_last_build(workspace).metrics[0]["metric"] == "built"
    workspace.published.parent.mkdir()
    write(workspace.published, tables())
    assert scorecard.of_last_build(workspace).metrics[0]["metric"] == "precision"
    text = shown(workspace, file=workspace.published)
    assert "Marts     ws/published/throughline.duckdb, schema main_marts\n" in text
    assert "Rejected  main_staging.stg_rejected_rows in ws/warehouse.duckdb\n" in text
    assert "mf query --metrics precision" in text


def test_a_copy_older_than_the_warehouse_says_so(workspace: Workspace) -> None:
    write(workspace.warehouse, tables())
    assert list(publish.notes(workspace)) == []
    workspace.published.parent.mkdir()
    write(workspace.published, tables())
    built = workspace.warehouse.stat().st_mtime_ns
    os.utime(workspace.published, ns=(built, built + 1))
    assert list(publish.notes(workspace)) == []
    os.utime(workspace.published, ns=(built, built - 1))
    assert list(map(str, publish.notes(workspace))) == [
        "ws/published/throughline.duckdb: older than the warehouse, which was written since. "
        "To show what is built last: throughline publish"
    ]
    assert list(publish.notes(workspace.replaying("2026-05-01"))) == []


def test_a_replay_is_read_from_its_own_schemas(workspace: Workspace) -> None:
    replay = workspace.replaying("2026-05-01")
    write(workspace.warehouse, tables(mart_scorecard=[metric(metric="then")]), schema=replay.schema)
    workspace.published.parent.mkdir()
    write(workspace.published, tables())
    assert scorecard.of_last_build(replay).metrics[0]["metric"] == "then"
    with pytest.raises(UserError) as refused:
        scorecard.of_last_build(workspace.replaying("2026-04-01"))
    assert str(refused.value).endswith("throughline build --as-of '2026-04-01 00:00:00'")


def test_without_marts_there_is_where_to_look_alone(workspace: Workspace) -> None:
    assert shown(workspace).startswith("\nMarts     ws/warehouse.duckdb")
    duckdb.connect(str(workspace.warehouse)).close()
    assert "Scorecard" not in shown(workspace)


def test_marts_that_were_built_and_are_gone_are_an_error(workspace: Workspace) -> None:
    found = tables()
    del found["mart_scorecard"]
    write(workspace.warehouse, found)
    with pytest.raises(UserError) as refused:
        shown(workspace, is_built=True)
    assert str(refused.value) == (
        "ws/warehouse.duckdb: mart_scorecard cannot be read, though it was built just now. "
        "Has someone moved or removed the warehouse? Build again."
    )


def test_on_a_server_it_is_read_through_dbt(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor of dbt gives decimals, and dates as moments."""
    monkeypatch.setenv("DBT_TARGET", "postgres")

    def read(_: Workspace, relations: Mapping[str, str]) -> Tables:
        assert relations == scorecard.RELATIONS
        return {
            name: [{key: of_server(value) for key, value in row.items()} for row in rows]
            for name, rows in tables().items()
        }

    monkeypatch.setattr(warehouse, "read", read)
    text = shown(workspace)
    assert text.startswith(said(tables(), width=80))
    assert "Marts     target postgres, schema main_marts\n" in text

    def none(*_: object) -> Tables:
        raise LookupError("dim_models")

    monkeypatch.setattr(warehouse, "read", none)
    assert "Scorecard" not in shown(workspace)
    with pytest.raises(UserError, match=r"^target postgres: the scorecard is not built: dim_mo"):
        scorecard.of_last_build(workspace)


def of_server(value: Any) -> Any:
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else value


# The command


def test_the_command_prints_what_was_built(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    ended = throughline("scorecard")
    assert (ended.status, ended.lines) == (
        1,
        [
            "error company/warehouse.duckdb: the scorecard is not built: warehouse.duckdb is not "
            "there. throughline build"
        ],
    )
    models = [
        {"model_id": "lead", "model_name": "Lead scoring"},
        {"model_id": "churn", "model_name": "Churn"},
    ]
    write(company.folder / "warehouse.duckdb", tables(dim_models=models))
    ended = throughline("scorecard")
    assert ended.status == 0
    assert "\x1b" not in ended.out
    assert ended.out.startswith("Scorecard as of 2026-07-01\n")
    assert "── Churn ──" in ended.out
    assert "Churn" not in throughline("scorecard", "--model", "lead").out
    ended = throughline("scorecard", "--model", "leads")
    assert (ended.status, ended.lines) == (
        1,
        ["error --model: no model is named leads. Known: churn, lead."],
    )


def test_a_file_that_is_no_database_is_one_line(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    file = company.folder / "warehouse.duckdb"
    file.write_bytes(b"no database")
    ended = throughline("scorecard")
    assert ended.status == 1
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("error company/warehouse.duckdb: cannot be opened: ")


def test_json_is_one_object_with_the_same_keys_always(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    rows = [metric(status="breached"), missing("no_data", metric="recall", label="Recall")]
    found = tables(
        mart_scorecard=rows, mart_experiments=[ESTIMATE], mart_experiment_decisions=[decision()]
    )
    write(company.folder / "warehouse.duckdb", found)
    report = throughline("scorecard", "--json", "--model", "lead").report
    assert {name: keys_of(part) for name, part in report.items()} == KEYS
    (money,) = part_of(report, "money")
    assert (money["month"], money["net"], money["previous_net"]) == ("2026-04-01", 800, 700)
    one, other = part_of(report, "metrics")
    assert (one["change"], one["window_end_date"]) == (pytest.approx(0.1), "2026-06-30")
    assert (other["value"], other["reason"]) == (None, "no_data")
    assert other["what_to_do"] == scorecard.WHAT_TO_DO["no_data"]


def part_of(report: Mapping[str, object], name: str) -> list[dict[str, Any]]:
    part = report[name]
    assert isinstance(part, list)
    return part


def keys_of(part: object) -> object:
    if not isinstance(part, list):
        return part
    (keys,) = {tuple(row) for row in part}
    return " ".join(keys)


KEYS = {
    "as_of": "2026-07-01",
    "predictions_end": None,
    "models": "model_id model_name",
    "money": (
        "model_id currency month value cost net roi matured_share previous_month previous_value "
        "previous_cost previous_net previous_roi previous_matured_share unknown_month reason "
        "what_to_do"
    ),
    "metrics": (
        "model_id metric label segment_name segment_value pillar role owner unit unit_of_count "
        "direction status outlook reason what_to_do value value_low value_high previous_value "
        "change is_beyond_noise target floor expected_value projected_value due unit_count "
        "window_start_date window_end_date next_step is_shown"
    ),
    "experiments": (
        "model_id experiment_id variant owner primary_metric decision reason label unit "
        "is_relative lift lift_low lift_high value_at_stake value_at_stake_low "
        "value_at_stake_high currency as_of"
    ),
    "next_steps": "model_id metric segment_name segment_value about why next_step owner",
}


# The demo


def test_the_demo_shows_every_pillar_and_judges_most_of_what_it_shows(
    demo_project: Project, demo: Path
) -> None:
    run = demo_project.run(demo, ["throughline", "scorecard", "--json"])
    assert run.status == 0, run.output
    report = json.loads(run.printed)
    shown = [row for row in report["metrics"] if row["is_shown"]]
    assert {row["pillar"] for row in shown} == (
        {"performance", "experience", "impact", "efficiency", "risk"}
    )
    judged = [row for row in shown if row["target"] is not None and row["value"] is not None]
    assert len(judged) >= 2 / 3 * len(shown)
    assert report["predictions_end"] is None
    begun = query(demo, "from experiments where start_date < '2026-07-01'").experiment_id
    assert {row["experiment_id"] for row in report["experiments"]} == set(begun)
    ledger = query(demo, "select * from mart_value_ledger")
    for money in report["money"]:
        is_month = ledger.month_start_date.dt.strftime("%Y-%m-%d") == money["month"]
        (row,) = ledger[(ledger.model_id == money["model_id"]) & is_month].to_dict("records")
        assert money["cost"] == pytest.approx(row["total_cost_amount"], rel=1e-9)
        assert money["month"] < "2026-06-01"


@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_the_demo_fits_a_page_of_80_columns(
    demo_project: Project,
    demo: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = demo_project.run(demo, ["throughline", "scorecard", *arguments])
    assert run.status == 0, run.output
    assert max(map(len, run.printed.splitlines())) <= 80
    assert "…" not in run.printed
    assert ("--all" in run.printed) != bool(arguments)


def test_a_page_is_wide_where_all_columns_fit() -> None:
    assert [Page(width=width).is_wide for width in (80, 109, 110, 120)] == [
        False,
        False,
        True,
        True,
    ]
