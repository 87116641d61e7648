"""Builds on Postgres beside others: who reads the marts, and commands that die or lose a lock."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import engines
from engines import ROOT, Engine
from test_engines import NO_TESTS, required
from throughline import dbt_process, simulate, warehouse
from throughline.workspace import Workspace

FOLDER = ROOT / ".build/engines/beside"
SCORECARD = ("--", "--select", "mart_scorecard")


@dataclass(frozen=True)
class Site:
    """A server with a built company."""

    engine: Engine
    company: Workspace

    def environment(self, **variables: str) -> dict[str, str]:
        return {**self.engine.environment(self.company), **variables}

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [dbt_process.program(command[0]), *command[1:]],
            cwd=ROOT,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def session(self, name: str = "a test") -> Iterator[Any]:
        """A cursor of a transaction that is open meanwhile."""
        connection = engines.connect(self.engine, user="owner")
        try:
            with connection.cursor() as cursor:
                cursor.execute("select set_config('application_name', %s, false)", [name])
                yield cursor
        finally:
            connection.close()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.session() as cursor:
            cursor.execute("set statement_timeout = '20s'")
            cursor.execute(query)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def wait_until_dbt_asks_for(self, relation: str, *, building: subprocess.Popen[str]) -> None:
        query = f"""
            select pid from pg_stat_activity
            where application_name = 'dbt' and state = 'active'
                and query ~ 'lock_not_available' and query ~ '{relation}'"""
        wait_until(lambda: building.poll() is not None or bool(self.ask(query)))
        assert building.poll() is None, building.communicate()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    simulate.simulate(out=FOLDER / "company", predictions=1_000, days=30, seed=7)
    with required(), engines.postgres(FOLDER) as engine:
        found = Site(engine, engines.chosen(FOLDER / "company"))
        engines.bring(engine, found.company)
        engines.dbt(engine, found.company, "build", *NO_TESTS)
        yield found


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def said(process: subprocess.Popen[str]) -> tuple[int, Sequence[str]]:
    """How a command ended, and its lines of errors."""
    _, errors = process.communicate(timeout=240)
    return process.returncode, [line for line in errors.splitlines() if line.startswith("error")]


HOLDER = (
    r"held for more than 2s by owner \(a dashboard; server process \d+\), in a transaction since "
    r"[\d-]+ [\d:]+ UTC, its last query begun at [\d:]+ UTC\. End that transaction, or raise "
    r"THROUGHLINE_LOCK_TIMEOUT, and build again: nothing is lost\."
)


def test_a_build_waits_for_a_reader_and_nobody_waits_behind_it(site: Site) -> None:
    with site.session() as reader:
        reader.execute("select count(*) from main_marts.mart_scorecard")
        building = site.start("throughline", "build", *SCORECARD, THROUGHLINE_LOCK_TIMEOUT="10min")
        site.wait_until_dbt_asks_for("mart_scorecard", building=building)
        assert site.ask("select count(*) from main_marts.mart_scorecard")[0][0] > 0
        assert building.poll() is None
    assert said(building) == (0, [])


def test_a_reader_who_does_not_end_is_named(site: Site) -> None:
    with site.session("a dashboard") as reader:
        reader.execute("select count(*) from main_marts.mart_scorecard")
        before = site.ask("select count(*) from main_marts.mart_scorecard")
        building = site.start("throughline", "build", *SCORECARD, THROUGHLINE_LOCK_TIMEOUT="2s")
        status, (line,) = said(building)
        assert status == 1
        where = r"error model mart_scorecard \(models/marts/overview/mart_scorecard\.sql\): "
        assert re.fullmatch(where + HOLDER, line)
        assert site.ask("select count(*) from main_marts.mart_scorecard") == before


def test_a_load_names_who_reads_a_raw_table(site: Site) -> None:
    rows = site.company.folder / "raw/feedback"
    delivered = next(path for path in rows.rglob("*") if path.is_file())
    shutil.copy(delivered, delivered.with_stem("again"))
    with site.session("a dashboard") as reader:
        reader.execute("select count(*) from raw.feedback")
        status, (line,) = said(site.start("throughline", "load", THROUGHLINE_LOCK_TIMEOUT="1s"))
    assert status == 1
    assert re.fullmatch(
        r"error raw\.feedback: held for more than 1s by owner \(a dashboard; server process \d+\) "
        r"since .+ UTC\. End that transaction, or raise THROUGHLINE_LOCK_TIMEOUT, and try again\.",
        line,
    )
    assert said(site.start("throughline", "load")) == (0, [])


def held(site: Site, reader: Any) -> subprocess.Popen[str]:
    """A build that waits for a reader of its first seed, so that all its models are to come."""
    reader.execute("select count(*) from main_config.model_registry")
    results(site).unlink(missing_ok=True)
    building = site.start("throughline", "build", "--no-tests", THROUGHLINE_LOCK_TIMEOUT="10min")
    site.wait_until_dbt_asks_for("model_registry", building=building)
    return building


def results(site: Site) -> Path:
    return site.engine.folder / "target/run_results.json"


def is_whole(path: Path) -> bool:
    """Whether dbt has written a file of JSON to its end."""
    try:
        json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return True


LOST = "the lock of this build is lost: server process"


def test_what_a_killed_command_has_left_keeps_others_out_and_writes_nothing_more(
    site: Site,
) -> None:
    newest = "select max(oid) from pg_class where relname = 'mart_scorecard'"
    with site.session() as reader:
        building = held(site, reader)
        building.send_signal(signal.SIGKILL)
        building.wait()
        status, (line,) = said(site.start("throughline", "load"))
        assert status == 1
        assert re.search(r"schemas main_\* are in use by owner \(dbt; server process \d+\)", line)
        before = site.ask(newest)
    wait_until(lambda: is_whole(results(site)))
    building.communicate()
    ended = json.loads(results(site).read_text())["results"]
    faults = [result["message"] for result in ended if result["status"] == "error"]
    assert faults
    assert all(LOST in fault for fault in faults)
    assert site.ask(newest) == before
    assert said(site.start("throughline", "build", *SCORECARD)) == (0, [])


def test_a_build_whose_lock_was_ended_says_so_in_one_line(site: Site) -> None:
    with site.session() as reader:
        building = held(site, reader)
        ended = site.ask(
            "select pid, pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'throughline, process %'"
        )
        assert [was for _, was in ended] == [True]
    status, (line,) = said(building)
    assert status == 1
    assert re.fullmatch(
        rf"error (seed|model) .+: {LOST} {ended[0][0]} has ended\. See the log of the server for "
        r"who ended it, and build again: nothing is lost\.",
        line,
    )


def test_lift_writes_nothing_once_its_lock_is_lost(site: Site) -> None:
    with dbt_process.within(site.environment()), warehouse.sole_writer(site.company):
        site.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'throughline, process %'"
        )
        with pytest.raises(Exception, match=LOST):
            engines.lift(site.engine, site.company)


def test_plain_dbt_does_not_write_beside_a_command(site: Site) -> None:
    # of tables alone: views over what a stopped build replaced are gone until the next build
    run = functools.partial(site.start, "dbt", "--no-use-colors", "run", *SCORECARD[1:])
    with dbt_process.within(site.environment()), warehouse.sole_writer(site.company):
        beside = run(**{warehouse.LOCK_HOLDER: ""})
        output, _ = beside.communicate()
    assert beside.returncode == 1
    assert f"are in use by owner (throughline, process {os.getpid()} on " in output
    alone = run()
    output, _ = alone.communicate()
    assert alone.returncode == 0, output
