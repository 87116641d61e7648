"""Any setting builds: one company under settings that few choose, with every data test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import duckdb
import pytest
import yaml

import plain_pandas
from building import NO_UNIT_TESTS, ROOT, Project, assert_waist_is, query
from throughline import doctor
from throughline.simulate import simulate
from throughline.workspace import Workspace

AS_OF = "2026-07-01 00:00:00"
SEGMENTS = ["channel", "device", "region"]
RATES = {"USD": 0.9, "EUR": 1.0, "GBP": 1.2}
IDS = ("prediction_id", "entity_id", "user_id", "unit_id", "event_id", "outcome_id", "response_id")


@dataclass(frozen=True)
class Odd:
    """Settings of a workspace, columns that its tables lack, and whether its ids are doubles."""

    settings: Mapping[str, object] = field(default_factory=dict)
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_numbers_for_ids: bool = False


ODD = {
    "cells of one, in the middle of the rows, ids that came as doubles": Odd(
        {"minimum_cell": 1, "review_grace_days": 100_000, "as_of": "2026-05-01 12:34:56"},
        has_numbers_for_ids=True,
    ),
    "no segments, nobody is named": Odd(
        {"segments": []},
        lacking={
            table: ["user_id"] for table in ("prediction_logs", "business_outcomes", "feedback")
        },
    ),
    "features that are segments too": Odd(
        {
            "segments": ["industry", "gender"],
            "protected_attributes": ["region", "age_band"],
            "numeric_features": ["company_size", "payment_amount"],
            "categorical_features": ["industry", "channel"],
        }
    ),
    "predictions and outcomes, no protected attributes": Odd(
        {"inputs": ["prediction_logs", "business_outcomes"], "protected_attributes": []}
    ),
}
"""Settings that have nothing to do with each other share a workspace; each has a build."""
EVERY = Odd(
    {
        "inputs": ["prediction_logs"],
        "reporting_currency": "CHF",
        "minimum_cell": 3,
        "review_grace_days": 0,
        "segments": [],
        "protected_attributes": ["merchant_category"],
        "numeric_features": ["score"],
        "as_of": "2026-06-01 00:00:00",
    }
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All ten tables."""
    folder = tmp_path_factory.mktemp("raw") / "company"
    simulate(out=folder, predictions=600, days=120, seed=7)
    return folder / "raw"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.without_comments(tmp_path_factory.mktemp("settings") / "project")


def make(folder: Path, odd: Odd, *, raw: Path) -> Path:
    """A workspace of the company that is odd in one way."""
    shutil.copytree(raw, folder / "raw")
    (folder / "vars.yml").write_text(yaml.safe_dump({"as_of": AS_OF, **odd.settings}))
    with duckdb.connect() as connection:
        for path in sorted((folder / "raw").glob("*/*")):
            rewrite(path, odd, connection=connection)
    return folder


def rewrite(path: Path, odd: Odd, *, connection: duckdb.DuckDBPyConnection) -> None:
    """Leaves columns out of a raw file, or makes its ids the doubles that a NULL makes of them."""
    is_text = path.suffix == ".csv"
    rows = f"read_csv('{path}', all_varchar = true)" if is_text else f"'{path}'"
    columns = connection.sql(f"from {rows}").columns
    kept = [column for column in columns if column not in odd.lacking.get(path.parent.name, ())]
    numbers = {
        # all of one width, so that numbers and texts have one order
        key: f"case when {key} <> '' then 1e8 + hash({key}) % 800000000 end as {key}"
        for key in (IDS if odd.has_numbers_for_ids else ())
    }
    if kept == columns and not numbers:
        return
    target = path.with_suffix(".csv" if is_text and not numbers else ".parquet")
    query = f"select {', '.join(numbers.get(name, name) for name in kept)} from {rows}"
    connection.execute(f"create or replace temp table rewritten as {query}")
    path.unlink()
    connection.execute(f"copy rewritten to '{target}'")


def company(folder: Path, odd: Odd, *, seeds: Path = ROOT / "seeds") -> plain_pandas.Company:
    """What the workspace says, in pandas alone."""
    tables = odd.settings.get("inputs", plain_pandas.TEXTS)
    assert isinstance(tables, Iterable)
    return plain_pandas.Company(
        raw={name: plain_pandas.read_table(folder / "raw" / name) for name in tables},
        seeds=seeds,
        as_of=str(odd.settings.get("as_of", AS_OF)),
        segments=cast("list[str]", odd.settings.get("segments", SEGMENTS)),
        currency=str(odd.settings.get("reporting_currency", "USD")),
    )


def assert_is_sound(folder: Path, plain: plain_pandas.Company) -> None:
    """Every decision is there, and every sum of every metric is that of pandas."""
    assert query(folder, "select count(*) as n from fct_decisions").n[0] == len(plain.decisions) > 0
    assert_waist_is(folder, plain.metrics())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.thorough if "too" in name else ()) for name in ODD],
)
def test_an_odd_workspace_builds(name: str, project: Project, raw: Path) -> None:
    odd = ODD[name]
    folder = make(project.root / re.sub("[ ,]+", "_", name), odd, raw=raw)
    chosen = Workspace(project=project.root, folder=folder, chosen_by="the test")
    assert [fault for fault in doctor.check(chosen).findings if fault.severity == "error"] == []
    run = project.build(folder, *NO_UNIT_TESTS)
    assert run.status == 0, run.output
    assert_is_sound(folder, company(folder, odd))


@pytest.mark.slow
def test_unit_tests_read_no_settings_of_the_workspace(tmp_path: Path, raw: Path) -> None:
    """They pass in a build whose every setting is odd; it is also read by dbt under them."""
    project = Project.without_comments(tmp_path / "project")
    folder = make(project.root / "company", EVERY, raw=raw)
    run = project.build(folder)
    assert run.status == 0, run.output
    assert sum(name.startswith("unit_test.") for name in run.well) > 30
    assert_is_sound(folder, company(folder, EVERY))
    # nobody is asked for a table that the settings leave out
    sources = {"labels", *plain_pandas.TEXTS} - {"prediction_logs"}
    assert not reasons(folder) & {f"{source}_not_delivered" for source in sources}
    assert_every_mart_says_why(folder, without=set(EMPTY_WITHOUT))


EMPTY_WITHOUT = {
    "business_outcomes": {
        *("mart_calibration", "mart_customer_cohorts", "mart_model_quality"),
        *("mart_threshold_curve", "mart_value_evidence", "mart_value_over_baseline"),
        *("mart_credit", "mart_credit_overlap", "mart_override_regret", "mart_metric_pairs"),
    },
    "experiment_assignments": {
        *("mart_experiments", "mart_experiment_decisions", "mart_experiment_splits"),
        "mart_lift_timeline",
    },
    "model_releases": {"mart_releases", "mart_release_gates", "mart_learning_log"},
    "feedback": {"mart_requests", "mart_surveys"},
}
"""The marts that have no row where a raw table is left out, since nothing of theirs happened."""


def assert_every_mart_says_why(folder: Path, *, without: Iterable[str]) -> None:
    """A row without any number has its reason, and a mart without rows a table that is left out."""
    columns = query(
        folder,
        """
        select table_name, column_name, data_type from duckdb_columns()
        where schema_name = 'main_marts' and starts_with(table_name, 'mart_')""",
    )
    silent = set().union(*(EMPTY_WITHOUT[table] for table in without))
    for mart, of_mart in columns.groupby("table_name"):
        numbers = of_mart.column_name[of_mart.data_type == "DOUBLE"]
        why = of_mart.column_name[of_mart.column_name.str.contains("reason")]
        rows = query(folder, f"from {mart}")
        assert rows.empty == (mart in silent), mart
        if len(numbers) and len(why):
            unknown = rows[rows[numbers].isna().all(axis=1)]
            assert unknown[why].notna().any(axis=1).all(), mart


def reasons(workspace: Path) -> set[str]:
    """Every reason that a mart gives for a number that is missing."""
    columns = query(
        workspace,
        """
        select table_name, column_name from duckdb_columns()
        where schema_name = 'main_marts' and column_name like '%reason'""",
    )
    assert len(columns) > 10
    branches = (f"select {column} as r from {table}" for table, column in columns.to_numpy())
    return set(query(workspace, " union ".join(branches)).r.dropna())


@pytest.mark.slow
def test_another_currency_builds_with_its_lift(tmp_path: Path, raw: Path) -> None:
    """As a user builds it: with doctor and lift."""
    project = Project.without_comments(tmp_path / "project")
    odd = Odd({"reporting_currency": "EUR"})
    folder = make(project.root / "company", odd, raw=raw)
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    lines = [f"{name},{rate},2025-01-01,,ann,why" for name, rate in RATES.items()]
    header = "currency,rate,valid_from,valid_to,owner,rationale"
    (folder / "seeds/exchange_rates.csv").write_text("\n".join([header, *lines, ""]))
    run = project.run(folder, ["throughline", "build"])
    assert run.status == 0, run.output
    assert_is_sound(folder, company(folder, odd, seeds=folder / "seeds"))
    for mart in ("mart_value_ledger", "mart_experiment_decisions"):
        assert set(query(folder, f"select currency from {mart}").currency) == {"EUR"}
