"""Boards compute nothing: what their queries may hold, and that templates and queries fit."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
import yaml
from sqlglot import exp

from building import ROOT
from throughline import boards, publish, warehouse
from throughline.findings import UserError
from throughline.workspace import Workspace

TEMPLATES = ROOT / "boards"
QUERIES = sorted((TEMPLATES / "queries").glob("*.sql"))
KINDS = ("overview", "model", "experiment", "metric", "alerts")
COMPUTES = (exp.Binary, exp.Window, exp.Case, exp.If, exp.AggFunc, exp.Neg, exp.Having, exp.Group)
ALLOWED = (exp.Connector, exp.Predicate, exp.Dot)
"""Comparisons and their joins, which choose rows."""
GATHERS = (exp.ArrayAgg, exp.Group)
"""A list of the cells of a spark, as they stand; and the rows that it is of."""


def faults(sql: str) -> list[str]:
    """What of a query makes a number that no mart has."""
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    lists = [node for node in tree.find_all(exp.Select) if node.find(exp.ArrayAgg)]
    spared = {id(part) for select in lists for part in select.walk() if isinstance(part, GATHERS)}
    return [
        node.sql(dialect="duckdb")
        for node in tree.walk()
        if isinstance(node, COMPUTES) and not isinstance(node, ALLOWED) and id(node) not in spared
    ]


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_selects_cells_and_computes_nothing(path: Path) -> None:
    sql = path.read_text()
    assert faults(sql) == []
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    names = {table.name for table in tree.find_all(exp.Table)} - {
        query.alias for query in tree.find_all(exp.CTE, exp.Subquery)
    }
    assert names
    assert all(name.startswith("mart_") for name in names), names
    assert sql.startswith("-- One row"), "a query says its grain first"
    if not path.stem.endswith("_reason"):
        assert tree.find(exp.Limit) is None, "a board leaves no row out without a word"


@pytest.mark.parametrize(
    "sql",
    [
        "select value * 2 from mart_scorecard",
        "select sum(value) from mart_scorecard",
        "select case when value > 1 then 1 end from mart_scorecard",
        "select row_number() over (order by value) from mart_scorecard",
        "select model_id from mart_scorecard group by model_id",
        "select -value from mart_scorecard",
        "select if(value > 1, 1, 0) from mart_scorecard",
        "select * from mart_scorecard where value > (select avg(value) from mart_scorecard)",
        "select array_agg(value), max(value) from mart_scorecard group by model_id",
        "select value || 'x' from mart_scorecard",
    ],
)
def test_what_computes_is_found(sql: str) -> None:
    assert faults(sql)


def test_each_query_has_a_chart_and_each_chart_says_what_stands_for_no_rows() -> None:
    used = set()
    for kind in KINDS:
        template: dict[str, Any] = yaml.safe_load((TEMPLATES / f"{kind}.yml").read_text())
        for name, chart in template["charts"].items():
            assert chart["empty"].endswith("."), (kind, name)
            assert chart["title"], (kind, name)
            # two of them would be marks of emphasis
            assert chart["empty"].count("_") < 2, (kind, name)
            used |= {chart["query"], *(layer.get("query") for layer in chart.get("layers", []))}
            used.add(chart.get("why"))
        placed = [
            each
            for row in template["rows"]
            for each in (row["cols"] if isinstance(row, dict) else [row])
        ]
        assert sorted(placed) == sorted(template["charts"]), kind
    assert used - {None} == {path.stem for path in QUERIES}


def test_a_page_has_one_name_in_python_and_in_sql() -> None:
    names = ["churn", "Churn", "a/b", "<x>", "7", "模型", "a" * 61, "", "a b", "x" * 60]
    with duckdb.connect() as connection:
        connection.execute((TEMPLATES / "setup.sql").read_text())
        for name in names:
            told = connection.execute("select page('model', ?)", [name]).fetchone()
            assert told == (f"{boards.page('model', name)}.html",)
    assert len({boards.page("model", name) for name in names}) == len(names)
    assert boards.page("model", "A").endswith(hashlib.md5(b"A").hexdigest())


@pytest.mark.parametrize(
    ("number", "unit", "reason", "written"),
    [
        (0.74251, "share", None, "74.3 %"),
        (50396.4, "currency", None, "50,396 EUR"),
        (0.2248, "currency", None, "0.22 EUR"),
        (-13935.2, "currency", None, "-13,935 EUR"),
        (43.05, "milliseconds", None, "43 ms"),
        (1234.0, "count", None, "1,234"),
        (0.99333, "score", None, "0.993"),
        (None, "share", "too_few_units", "too few units"),
        (None, "share", None, ""),
    ],
)
def test_a_number_is_written_by_its_unit(
    number: float | None, unit: str, reason: str | None, written: str
) -> None:
    with duckdb.connect() as connection:
        connection.execute((TEMPLATES / "setup.sql").read_text())
        asked = "select readable(?, ?, ?, 'EUR')"
        ((told,),) = connection.execute(asked, [number, unit, reason]).fetchall()
    assert told.replace("\u2060", "") == written


def test_a_model_has_one_colour_on_all_boards_and_no_other_has_it() -> None:
    with duckdb.connect() as marts:
        marts.execute((TEMPLATES / "setup.sql").read_text())
        marts.execute(
            "create table mart_models as select model_id from (values ('b'), ('7')) t(model_id)"
        )
        assert boards._colors(marts) == {"7\u2060": "category[1]", "b": "category[2]"}
        marts.execute("insert into mart_models select 'm' || n from range(38) as r(n)")
        assert len(set(boards._colors(marts).values())) == 40
        marts.execute("insert into mart_models values ('one more')")
        assert boards._colors(marts) == {}


def test_a_row_is_named_by_the_first_column_that_tells_rows_apart() -> None:
    sql = "-- One row.\nselect * from (values ('a', 'a, x'), ({}, 'b, y')) t(short, long)"
    with duckdb.connect() as marts:
        for other, column in (("'b'", "short"), ("'a'", "long")):
            told = boards._telling(["short", "long"], marts, sql.format(other), {})
            assert told == column


def test_titles_are_as_written_once_drawn(tmp_path: Path) -> None:
    written = "lead_first_hour *x* [a](b) `c`"
    page = tmp_path / "experiment.html"
    page.write_text(f"<html><head></head>{boards.shown(written)}</html>")
    boards.share(tmp_path)
    assert written in page.read_text()


def test_texts_of_a_workspace_are_no_marks_of_the_renderer() -> None:
    assert boards.shown("offer_ranking *x* [a](b) `c`").isprintable()
    assert not set("_*`[]") & set(boards.shown("offer_ranking *x* [a](b) `c`"))
    assert boards.shown("{{ 7 * 7 }}") == '{{ "{{ 7 \u2217 7 }}" }}'


def test_boards_need_a_published_file_and_dbt_charts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(project=ROOT, folder=tmp_path, chosen_by="test")
    with (
        pytest.raises(UserError, match="throughline publish"),
        boards.project(workspace, boards.FORMS, tmp_path),
    ):
        pass
    published = tmp_path / "published" / "throughline.duckdb"
    published.parent.mkdir()
    published.write_bytes(b"of another program" * 1000)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        pytest.raises(UserError, match="cannot be read for boards") as raised,
        boards.project(workspace, boards.FORMS, scratch),
    ):
        pass
    (finding,) = raised.value.findings
    assert "scratch" not in str(finding)
    assert "!" not in str(finding)
    elsewhere = Workspace(project=tmp_path, folder=tmp_path, chosen_by="test")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="make boards"):
        boards.renderer(elsewhere)


def test_lines_of_money_and_counts_stand_on_zero() -> None:
    """Else a fall by half looks like a fall to nothing."""
    found = 0
    for kind in KINDS:
        template = yaml.safe_load((TEMPLATES / f"{kind}.yml").read_text())
        for name, chart in template["charts"].items():
            axis = chart.get("style", {}).get("axis_y", {})
            if chart["type"] == "line" and name in ("money", "adoption"):
                assert axis["scale"]["continuous"]["zero"] is True, (kind, name)
                found += 1
    assert found == 2


def test_no_axis_rounds_its_marks_to_each_other() -> None:
    """A mark at 0.4 that reads 0 is a wrong number; zeros at the end may go."""
    found = 0
    for kind in KINDS:
        template = yaml.safe_load((TEMPLATES / f"{kind}.yml").read_text())
        for name, chart in template["charts"].items():
            for look in (chart.get("style", {}), chart.get("phone", {}).get("style", {})):
                for axis in ("axis_x", "axis_y"):
                    number_format = look.get(axis, {}).get("labels", {}).get("format")
                    if number_format:
                        # of a metric by its unit, and so by boards.plan
                        endings = ("~f", "~%", "$axis_format")
                        assert number_format.endswith(endings), (kind, name, number_format)
                        found += 1
    assert found > 5


def test_zero_is_the_one_dark_line_of_a_forest() -> None:
    """On an axis of percent dbt Charts draws another at 100 %, which looks like no change."""
    forest = yaml.safe_load((TEMPLATES / "experiment.yml").read_text())["charts"]["forest"]
    axis = forest["style"]["axis_y"]
    assert axis["scale"]["continuous"]["zero"] is True
    assert "%" not in axis["labels"]["format"]


KILLED = """
import os, signal, sys
from pathlib import Path
from throughline import boards
from throughline.workspace import Workspace
place = Path(sys.argv[1])
workspace = Workspace(project=place.parent, folder=place.parent, chosen_by="test")
with boards._alone(workspace, place) as scratch:
    fresh = scratch / place.name
    fresh.mkdir()
    (fresh / "index.html").write_text("half")
    if sys.argv[2] == "between":
        boards._exchanged = lambda one, other: False
        rename = Path.rename
        def once(self, target):
            rename(self, target)
            os.kill(os.getpid(), signal.SIGKILL)
        Path.rename = once
        boards._swap(fresh, place)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["while it draws", "between"])
def test_a_killed_drawing_loses_nothing_and_the_next_cleans_up(tmp_path: Path, moment: str) -> None:
    place = tmp_path / "boards"
    place.mkdir()
    (place / "index.html").write_text("whole")
    ended = subprocess.run([sys.executable, "-c", KILLED, place, moment], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert place.exists() is (moment != "between")
    workspace = Workspace(project=ROOT, folder=tmp_path, chosen_by="test")
    with boards._alone(workspace, place) as scratch:
        assert (place / "index.html").read_text() == "whole"
        assert list(scratch.iterdir()) == []
        with (
            pytest.raises(UserError, match="another command draws"),
            boards._alone(workspace, place),
        ):
            pass
        fresh = scratch / place.name
        fresh.mkdir()
        (fresh / "index.html").write_text("new")
        boards._swap(fresh, place)
    assert [file.name for file in tmp_path.iterdir()] == ["boards"]
    assert (place / "index.html").read_text() == "new"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no exchange of names there")
def test_the_folder_is_never_away_where_the_system_exchanges_names(tmp_path: Path) -> None:
    place, fresh = tmp_path / "boards", tmp_path / "fresh"
    for folder in (place, fresh):
        folder.mkdir()
        (folder / "index.html").write_text(folder.name)
    assert boards._exchanged(fresh, place)
    assert (place / "index.html").read_text() == "fresh"
    assert (fresh / "index.html").read_text() == "boards"
    assert not boards._exchanged(fresh, tmp_path / "none")


class Server:
    """A server on which each query sees its own moment, and a build begins after some marts."""

    def __init__(self, *, begins_after: int = 3) -> None:
        self.begins_after = begins_after
        self.taken: list[str] = []

    def has(self, layer: str, name: str) -> bool:
        return True

    def relation(self, layer: str, name: str) -> str:
        return f"{layer}.{name}"

    def see_one_moment(self, relations: list[str]) -> None:
        assert relations == ["metrics.build_starts", "marts.mart_one", "marts.mart_two"]

    def query(self, sql: str) -> list[dict[str, Any]]:
        return [{"begun": 1}] * (len(self.taken) >= self.begins_after)

    def write_csv(self, layer: str, name: str, file: Path, *, null: str) -> dict[str, str]:
        self.taken.append(name)
        file.write_text(f'"{len(self.taken)}"\n"{null}"\n')
        return {"number": "bigint"}


def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: object) -> Path:
    monkeypatch.setattr(warehouse, "connect", lambda _: contextlib.nullcontext(server))
    workspace = Workspace(project=ROOT, folder=tmp_path, chosen_by="test")
    publish.take(workspace, marts=["mart_one", "mart_two"], file=tmp_path / "taken.duckdb")
    return tmp_path / "taken.duckdb"


@pytest.mark.parametrize("begins_after", [0, 1, 2])
def test_marts_of_a_server_are_refused_where_a_build_begins_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins_after: int
) -> None:
    with pytest.raises(UserError, match="a build was begun and not finished"):
        take(tmp_path, monkeypatch, Server(begins_after=begins_after))
    assert not (tmp_path / "taken.duckdb").exists()


def test_marts_of_a_server_stand_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    with duckdb.connect(str(take(tmp_path, monkeypatch, server))) as taken:
        for number, name in enumerate(server.taken, start=1):
            rows = taken.execute(f"select number from main_marts.{name}").fetchall()
            assert rows == [(number,), (None,)]
    assert [path.name for path in tmp_path.iterdir()] == ["taken.duckdb"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("Runtime Error\n  the session is gone\n  > in macro x"),
            "the session is gone",
        ),
        (KeyError(), "KeyError"),
    ],
)
def test_what_a_driver_raises_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    class Lost(Server):
        def write_csv(self, *_: Any, **__: Any) -> dict[str, str]:
            raise error

    with pytest.raises(UserError, match=f"cannot be read: {told}. Mend that") as raised:
        take(tmp_path, monkeypatch, Lost())
    assert "\n" not in str(raised.value)


def test_a_mart_without_columns_is_refused(tmp_path: Path) -> None:
    class Nothing:
        connections = property(lambda self: self)
        handle = property(lambda self: self)

        def get_thread_connection(self) -> Nothing:
            return self

        def cursor(self) -> Nothing:
            return self

        def execute(self, sql: str) -> None:
            pass

        def fetchall(self) -> list[Any]:
            return []

    server = warehouse.Warehouse("postgres", "main", Nothing())
    with pytest.raises(UserError, match=r"target postgres, main_marts\.mart_one: has no columns"):
        server.write_csv("marts", "mart_one", tmp_path / "rows.csv", null="")
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_ends_meanwhile_changes_no_page(tmp_path: Path) -> None:
    published, scratch, newer = (tmp_path / name for name in ("marts", "scratch", "newer"))
    published.write_text("of the morning")
    newer.write_text("of the evening")
    scratch.mkdir()
    held = boards._held(published, scratch)
    newer.replace(published)
    assert held.read_text() == "of the morning"


def test_a_grey_week_has_its_reason_and_the_primary_metric_stands_first(demo: Path) -> None:
    published = demo / "published" / "throughline.duckdb"
    with duckdb.connect(str(published), read_only=True) as marts:
        marts.execute("use main_marts")
        marts.execute((TEMPLATES / "setup.sql").read_text())

        def told(query: str, **values: str) -> list[tuple[Any, ...]]:
            sql = (TEMPLATES / "queries" / f"{query}.sql").read_text()
            return boards._rows(marts, sql, values)

        for (model,) in marts.execute("select model_id from mart_models").fetchall():
            for status, drawn, reasons in (
                ("unknown", "model_chain", "model_unknown"),
                ("not ready", "model_drift", "model_not_judged"),
            ):
                is_grey = any(row[-1] == status for row in told(drawn, model_id=model))
                written = [row[-1] for row in told(reasons, model_id=model)]
                assert is_grey is bool(written), (model, drawn)
                assert all(written), (model, drawn)
        tried = marts.execute("select experiment_id from mart_experiment_decisions").fetchall()
        assert tried
        for (experiment,) in tried:
            roles = [row[3] for row in told("experiment_lifts", experiment_id=experiment)]
            assert roles[0] == "primary", experiment
            assert "primary" not in roles[1:], experiment


def test_every_query_answers_on_the_demo(demo: Path, tmp_path: Path) -> None:
    """And no chart of the demo is without a query that has rows in at least one board."""
    workspace = Workspace(project=ROOT, folder=demo, chosen_by="test")
    with boards.project(workspace, boards.FORMS[:1], tmp_path) as (root, planned):
        made = [yaml.safe_load(path.read_text()) for path in root.rglob("charts/*/*.yml")]
    assert len(made) == len(planned)
    assert len({board.page for board in planned}) == len(planned)
    filled = {name for board in made for name in board["queries"]}
    # who reads of diamonds finds them
    charts = [chart for board in made for chart in board["charts"].values()]
    marked = [chart for chart in charts if "Diamonds" in chart.get("subtitle", "")]
    assert marked
    assert all(chart.get("layers") for chart in marked)
    reasons = {"model_money_reason", "model_threshold_reason", "metric_reason", "experiment_reason"}
    assert filled == {path.stem for path in QUERIES} - reasons


def test_served_boards_speak_of_what_their_reader_chooses(demo: Path, tmp_path: Path) -> None:
    """No name of one model above the numbers of another, no reason of one for a chart of all."""
    workspace = Workspace(project=ROOT, folder=demo, chosen_by="test")
    with boards.project(workspace, boards.FORMS[:1], tmp_path, is_served=True) as (root, planned):
        made = {path.stem: path.read_text() for path in root.rglob("charts/*/*.yml")}
    for board in planned:
        content = yaml.safe_load(made[board.page])
        assert ".html" not in made[board.page], board.page
        assert "callout" not in {chart["type"] for chart in content["charts"].values()}, board.page
        if board.kind in ("model", "experiment", "metric"):
            (key,) = board.values.keys() - {"from_date", "currency"}
            assert content["title"] == f"{{{{ {key} }}}}"
            assert content["text"].startswith("Known on the morning of"), board.page
