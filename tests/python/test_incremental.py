"""Builds that died, that meet, that replay the past, and what a changed project rebuilds."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import histories
from building import WITHOUT_TESTS, Project, query
from throughline.simulate import simulate
from throughline.workspace import Workspace

pytestmark = pytest.mark.slow

EARLIER, LATER = "2026-06-20 00:00:00", "2026-07-01 00:00:00"
# how often a build is killed
DEATHS = 10


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.without_comments(tmp_path_factory.mktemp("incremental") / "project")


@pytest.fixture(scope="module")
def grown(project: Project) -> Path:
    """A workspace built at an earlier moment, where rows have arrived since."""
    folder = project.root / "grown"
    simulate(out=folder, predictions=3_000, days=120, seed=11)
    kept_back = project.root / "kept_back"
    for path in sorted((folder / "raw").rglob("redelivered.parquet")):
        place = kept_back / path.parent.name
        place.mkdir(parents=True)
        path.rename(place / path.name)
    build(project, folder, as_of=EARLIER)
    for path in sorted(kept_back.rglob("*.parquet")):
        path.rename(folder / "raw" / path.parent.name / path.name)
    return folder


@pytest.fixture(scope="module")
def undisturbed(project: Project, grown: Path) -> Path:
    folder = copied(grown, "undisturbed")
    build(project, folder, as_of=LATER)
    return folder


def copied(folder: Path, name: str) -> Path:
    copy = folder.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def command(
    project: Project, folder: Path, *arguments: str, program: str = "dbt"
) -> tuple[list[str], dict[str, str]]:
    """A command on a workspace, and its environment."""
    chosen = Workspace(project=project.root, folder=folder, chosen_by="the test")
    quiet = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_LOG_LEVEL_FILE": "none"}
    values = {**os.environ, **chosen.environment(), **quiet}
    return [str(Path(sys.executable).with_name(program)), *arguments], values


def build(project: Project, folder: Path, *, as_of: str) -> None:
    """A build with every data test."""
    project.build_soundly(folder, as_of=as_of)


def dbt(project: Project, folder: Path, *arguments: str, as_of: str = LATER) -> None:
    run = project.dbt(folder, *arguments, "--vars", f"{{as_of: '{as_of}'}}")
    assert run.status == 0, run.output


def test_late_rows_of_the_reference_move_its_bins(grown: Path, undisturbed: Path) -> None:
    """So all days of the model are counted anew, as the next test says."""
    asked = "select edges_hash from int_feature_references "
    asked += "where feature = 'score' order by model_id"
    before, after = (query(folder, asked).edges_hash for folder in (grown, undisturbed))
    assert len(before) == len(after) == 3
    assert (before != after).any()
    used = query(undisturbed, "select distinct model_id, feature, edges_hash from fct_feature_bins")
    known = query(undisturbed, "select model_id, feature, edges_hash from int_feature_references")
    assert set(map(tuple, used.values)) <= set(map(tuple, known.values))


def test_a_new_build_equals_one_from_nothing(project: Project, undisturbed: Path) -> None:
    fresh = histories.copied(undisturbed)
    build(project, fresh, as_of=LATER)
    assert histories.differences(undisturbed, fresh) == []


def test_one_late_event_touches_one_date(project: Project, undisturbed: Path) -> None:
    folder = copied(undisturbed, "late_event")
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select 'late' as event_id, 'viewed' as event_name, 'lead_scoring' as model_id, "
            "'somebody' as user_id, timestamp '2026-06-03 10:00:00' as occurred_at, "
            "timestamp '2026-06-30 10:00:00' as loaded_at) "
            f"to '{folder}/raw/usage_events/late.parquet'"
        )
    build(project, folder, as_of=LATER)
    touched = query(folder, "from int_touched_dates union all by name from int_touched_usage_dates")
    dates = {
        name: {str(date.date()) for date in found}
        for name, found in touched.groupby("relation_name").touched_date
    }
    # as_of belongs to a day of its own, on which users may be eligible
    assert dates == {
        "fct_usage": {"2026-06-03", "2026-07-01"},
        "fct_activity": {"2026-06-03", "2026-07-01"},
        "fct_bricks": {"2026-06-03", "2026-07-01"},
        "fct_metrics": {"2026-06-03", "2026-07-01"},
    }
    late = query(folder, "select viewed_count from fct_usage where user_id = 'somebody'")
    assert late.viewed_count.tolist() == [1]


def test_moved_edges_remake_the_bins_of_their_model(project: Project, undisturbed: Path) -> None:
    """A late row of the reference days moves edges of one model, a new threshold of another."""
    folder = copied(undisturbed, "moved_edges")
    (folder / "raw/prediction_logs/late.csv").write_text(
        "prediction_id,model_id,model_version,predicted_at,entity_id,score,decision_threshold,loaded_at\n"
        "late,lead_scoring,1,2026-03-20 10:00:00,e,0.987654,,2026-06-30 12:00:00\n"
        "other,fraud_detection,1,2026-06-29 10:00:00,e,0.5,0.123456,2026-06-30 12:00:00\n"
    )
    fresh = histories.copied(folder)
    for workspace in (folder, fresh):
        dbt(project, workspace, "build", "--select", "+int_build_ledger", *WITHOUT_TESTS)
    touched = set(query(folder, "from int_touched_score_dates").touched_key)
    days = query(folder, "select distinct model_id, decision_date from fct_score_bins")
    keys = days.model_id + " " + days.decision_date.dt.strftime("%Y-%m-%d")
    moved = days.model_id.isin(["lead_scoring", "fraud_detection"])
    assert set(keys[moved]) <= touched
    assert {key[-10:] for key in touched - set(keys[moved])} == {"2026-03-20", "2026-06-29"}
    assert {0.123456} <= set(query(folder, "from int_score_edges").lower_edge)
    one, other = histories.relations(folder), histories.relations(fresh)
    for name in ("int_score_edges", "fct_score_bins"):
        pd.testing.assert_frame_equal(one[name], other[name], rtol=1e-9, atol=1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("death", range(DEATHS))
def test_a_killed_build_is_simply_run_again(
    project: Project, grown: Path, undisturbed: Path, death: int
) -> None:
    folder = copied(grown, f"killed_{death}")
    called, values = command(
        project,
        folder,
        *("--no-use-colors", "--log-format", "text", "build", *WITHOUT_TESTS),
        *("--vars", f"{{as_of: '{LATER}'}}"),
    )
    # dbt says when each model begins: the build dies some milliseconds into one of them
    chance = random.Random(death)
    model, after = chance.randint(3, 37), chance.random() * 0.2
    process = subprocess.Popen(
        called, cwd=project.root, env=values, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    begun = 0
    for line in process.stdout:
        begun += "START sql" in line
        if begun == model:
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    build(project, folder, as_of=LATER)
    assert histories.differences(folder, undisturbed) == []


def test_a_second_build_says_who_holds_the_workspace(project: Project, undisturbed: Path) -> None:
    folder = copied(undisturbed, "held")
    with duckdb.connect(str(folder / "warehouse.duckdb")):
        called, values = command(project, folder, "build", program="throughline")
        second = subprocess.run(
            called, cwd=project.root, env=values, capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1] == (
        f"error held/warehouse.duckdb: in use by {Path(sys.executable).resolve().name} "
        f"(process {os.getpid()}). Close it and try again."
    )
    assert histories.differences(folder, undisturbed) == []


def test_a_replay_stands_beside_the_marts_in_force(project: Project, undisturbed: Path) -> None:
    folder = copied(undisturbed, "replayed")
    before = contents(folder, schema="main")
    called, values = command(
        project, folder, "build", "--no-tests", "--as-of", EARLIER, program="throughline"
    )
    run = subprocess.run(
        called, cwd=project.root, env=values, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "schema as_of_20260620_marts" in run.stdout
    assert contents(folder, schema="main") == before

    fresh = histories.copied(undisturbed)
    build(project, fresh, as_of=EARLIER)
    called, values = command(project, fresh, "lift", program="throughline")
    run = subprocess.run(
        called, cwd=project.root, env=values, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    after = ("--selector", "after_lift")
    dbt(project, fresh, "build", *after, *WITHOUT_TESTS, as_of=EARLIER)
    assert histories.differences(folder, fresh, schema="as_of_20260620") == []


def test_another_formula_holds_for_history_too(tmp_path: Path, undisturbed: Path) -> None:
    edited = Project.without_comments(tmp_path / "project")
    metrics = edited.root / "models/metrics/_metrics.yml"
    text = metrics.read_text(encoding="utf-8")
    before, after = text.split("- name: view_rate", 1)
    after = after.replace("brick_viewed_decisions", "brick_accepted_matured_decisions", 1)
    assert "brick_accepted_matured_decisions" in after
    metrics.write_text(f"{before}- name: view_rate{after}", encoding="utf-8")
    folder = copied(undisturbed, "another_formula")
    fresh = histories.copied(folder)
    for workspace in (folder, fresh):
        build(edited, workspace, as_of=LATER)
    assert histories.differences(folder, fresh) == []
    assert histories.differences(undisturbed, fresh) != []


PARTS = {
    # deliveries are those that were looked for
    "without a look at deliveries": (
        ["build", *WITHOUT_TESTS, "--select", "stg_prediction_logs"],
        0,
    ),
    "anew": (["build", *WITHOUT_TESTS, "--full-refresh", "--select", "+stg_prediction_logs"], 1),
    # what leaves out a part does not move the ledger, seeds included
    "all but seeds": (["run"], 1),
}


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(list(PARTS), id="one after another"),
        *(pytest.param([part], id=part, marks=pytest.mark.thorough) for part in PARTS),
    ],
)
def test_what_an_unfinished_build_read_may_be_withdrawn(
    project: Project, undisturbed: Path, parts: list[str]
) -> None:
    folder = copied(undisturbed, "withdrawn")
    ledger = "select * from int_build_ledger order by all"
    before = query(folder, ledger)
    for part in parts:
        arguments, read = PARTS[part]
        path = folder / "raw/prediction_logs/mistaken.csv"
        path.write_text(
            "prediction_id,model_id,model_version,predicted_at,entity_id,loaded_at\n"
            f"{part},lead_scoring,v1,2026-06-25,lead-1,2026-06-26\n"
        )
        dbt(project, folder, *arguments)
        assert query(folder, ledger).equals(before)
        staged = f"select * from stg_prediction_logs where prediction_id = '{part}'"
        assert len(query(folder, staged)) == read
        path.unlink()
    build(project, folder, as_of=LATER)
    assert histories.differences(folder, undisturbed) == []


def test_a_file_that_comes_during_a_build_is_for_the_next(
    project: Project, undisturbed: Path
) -> None:
    folder = histories.copied(undisturbed)
    called, values = command(
        project,
        folder,
        *("--no-use-colors", "build", *WITHOUT_TESTS),
        *("--vars", f"{{as_of: '{LATER}'}}"),
    )
    process = subprocess.Popen(
        called, cwd=project.root, env=values, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    path = folder / "raw/feedback/meanwhile.csv"
    output = []
    for line in process.stdout:
        output.append(line)
        # what was delivered is noted before the first model is made
        if "OK created" in line and not path.exists():
            path.write_text(
                "response_id,survey_type,asked_at,model_id,user_id,loaded_at\n"
                "meanwhile,csat,2026-06-25,nobody,somebody,2026-06-26\n"
            )
    assert process.wait() == 0, "".join(output)
    process.stdout.close()
    counted = "select count(*) as n from stg_rejected_rows where row_key = 'meanwhile'"
    assert query(folder, counted).n[0] == 0
    dbt(project, folder, "test", "--select", "accounted_for_stg_feedback_feedback")
    build(project, folder, as_of=LATER)
    assert query(folder, counted).n[0] == 1


def test_a_build_without_rows_leaves_no_trace(project: Project, undisturbed: Path) -> None:
    folder = copied(undisturbed, "emptied")
    dbt(project, folder, "build", "--empty", *WITHOUT_TESTS)
    assert len(query(folder, "select * from fct_decisions")) == 0
    build(project, folder, as_of=LATER)
    assert histories.differences(folder, undisturbed) == []


OLD = "(select * from landing.{table} where loaded_at < '2026-06-15' order by all limit 1)"
# what comes to a relation between two builds, one table each
GROWN = {
    "serving_costs": "insert into landing.serving_costs from {old}",
    "eligible_users": (
        "insert into landing.eligible_users by name select * replace ('new' as user_id, "
        "(select max(loaded_at) from landing.eligible_users) + interval 1 second as loaded_at) "
        "from {old}"
    ),
}
CHANGED = {
    "business_outcomes": (
        "update landing.business_outcomes set outcome_value = coalesce(outcome_value, 0) + 7 "
        "where outcome_id = (select outcome_id from {old})"
    ),
    "usage_events": (
        "delete from landing.usage_events where event_id = (select event_id from {old})"
    ),
    # after the last build, with a time of arrival before it
    "prediction_logs": (
        "insert into landing.prediction_logs by name "
        "select * replace ('belated' as prediction_id) from {old}"
    ),
}
# on the day of the last rows: it is delivered again as the day grows
REJECTED = (
    "insert into landing.eligible_users by name select * replace ('nobody' as model_id, "
    "(select max(loaded_at) from landing.eligible_users) as loaded_at) from {old}"
)


def test_rows_of_a_relation_may_change_in_place(project: Project, undisturbed: Path) -> None:
    folder = copied(undisturbed, "landed")
    tables = [*GROWN, *CHANGED]
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("create schema landing")
        for table in tables:
            files = folder / "raw" / table
            connection.execute(
                f"create table landing.{table} as "
                f"from read_parquet('{files}/*.parquet', union_by_name = true)"
            )
            shutil.rmtree(files)
        change(connection, {"eligible_users": REJECTED})
    with (folder / "vars.yml").open("a") as settings:
        settings.write(f"sources: {{{', '.join(f'{name}: landing.{name}' for name in tables)}}}\n")
    build(project, folder, as_of=LATER)

    # a table that was replaced is read anew: what grows comes after it, so as to hide nothing
    for changes, replaced in ((CHANGED, sorted(CHANGED)), (GROWN, [])):
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            change(connection, changes)
        build(project, folder, as_of=LATER)
        for flag, named in (("is_new", sorted(changes)), ("is_replaced", replaced)):
            found = query(folder, f"select distinct table_name from deliveries where {flag}")
            assert sorted(found.table_name) == named
    fresh = histories.copied(undisturbed)
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        for table in tables:
            shutil.rmtree(fresh / "raw" / table)
            (fresh / "raw" / table).mkdir()
            connection.execute(f"copy landing.{table} to '{fresh}/raw/{table}/rows.parquet'")
    build(project, fresh, as_of=LATER)
    assert histories.differences(folder, fresh) == []
    assert histories.differences(undisturbed, fresh) != []


def change(connection: duckdb.DuckDBPyConnection, statements: Mapping[str, str]) -> None:
    for table, statement in statements.items():
        done = connection.execute(statement.format(old=OLD.format(table=table))).fetchone()
        assert done == (1,)


def contents(folder: Path, *, schema: str) -> dict[str, str]:
    """Every relation of the warehouse whose schema begins so, as a hash of its rows."""
    return {
        name: hashlib.sha256(frame.to_csv().encode()).hexdigest()
        for name, frame in histories.relations(folder, schema=schema).items()
    }
