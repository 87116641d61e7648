"""Public logs of real systems, built as they are, against pandas over the same files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from building import ROOT, Project, query
from throughline import seeds, workspace

OPEN_BANDIT = ROOT / "examples/open_bandit"
CENSUS = ROOT.parent / "shared/data/census_employment"
SERIES = ["metric", "day", "version", "segment_name", "segment_value"]


def read(file: Path) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows: pd.DataFrame = connection.read_parquet(str(file)).df()
    return rows


def spread(
    rows: pd.DataFrame, metric: str, hits: pd.Series, among: pd.Series, segments: Sequence[str]
) -> pd.DataFrame:
    """Counts of a share by day and version: in total and by each segment."""
    counted = rows.assign(numerator=(hits & among).astype(float), denominator=among.astype(float))
    parts = []
    for name in ("all", *segments):
        value = "all" if name == "all" else rows[name].astype(str)
        named = counted.assign(metric=metric, segment_name=name, segment_value=value)
        parts.append(named.groupby(SERIES)[["numerator", "denominator"]].sum())
    table: pd.DataFrame = pd.concat(parts)
    return table


def copy_open_bandit(project: Project) -> Path:
    folder = project.root / "open_bandit"
    shutil.copytree(OPEN_BANDIT, folder, ignore=shutil.ignore_patterns("warehouse.duckdb*"))
    return folder


def impressions() -> pd.DataFrame:
    rows = read(OPEN_BANDIT / "raw/impressions.parquet")
    moments = pd.to_datetime(rows.impression_ts, utc=True).dt.tz_localize(None)
    dated: pd.DataFrame = rows.assign(day=moments.dt.normalize(), version=rows.policy)
    return dated


def open_bandit_in_pandas() -> pd.DataFrame:
    rows = impressions()
    clicked, shown = rows.click == 1, rows.click.notna()
    segments = ["campaign", "position"]
    metrics = ("conversion_rate", "acceptance_rate")
    return pd.concat(spread(rows, metric, clicked, shown, segments) for metric in metrics)


CENSUS_SETTINGS: dict[str, Any] = {
    "as_of": "2019-07-01 00:00:00",
    "inputs": ["prediction_logs", "business_outcomes"],
    "segments": ["age_group"],
    "protected_attributes": ["sex", "rac1p"],
    "sources": {
        "prediction_logs": "raw/predictions.parquet",
        "business_outcomes": "raw/outcomes.parquet",
    },
    "mapping": {
        "prediction_logs": {
            "prediction_id": "id",
            "model_id": "'employment'",
            "model_version": "'2014'",
            "predicted_at": "make_timestamp(year, 7, 1, 0, 0, 0)",
            "entity_id": "id",
            "score": "predicted_probability",
            "predicted_label": "prediction",
            "loaded_at": "make_timestamp(year, 7, 1, 0, 0, 0)",
            "age_group": "case when AGEP < 30 then '16-29' when AGEP < 50 then '30-49' "
            "when AGEP < 65 then '50-64' else '65+' end",
        },
        "business_outcomes": {
            "outcome_id": "id",
            "outcome_name": "'employed'",
            "prediction_id": "id",
            "outcome_label": "employed",
            "occurred_at": "timestamp '2018-07-02'",
            "observed_at": "timestamp '2018-07-02'",
            "loaded_at": "timestamp '2018-07-02'",
        },
    },
}
CENSUS_MODEL = (
    "employment,Employment,Census,binary,Statistics,Tell who is employed,employed,1,,0.5,30,0,"
    "false,2015-01-01,2015-12-31,Statistics,Public microdata\n"
)


def make_census(project: Project) -> Path:
    folder = project.root / "census"
    headers = {name: spec.header for name, spec in seeds.read_specs(project.root).items()}
    workspace.create(folder, project=project.root, headers=headers)
    with (folder / "seeds/model_registry.csv").open("a") as file:
        file.write(CENSUS_MODEL)
    for name in ("predictions", "outcomes"):
        shutil.copy(CENSUS / f"{name}.parquet", folder / "raw")
    (folder / "vars.yml").write_text(yaml.safe_dump(CENSUS_SETTINGS))
    return folder


def census_in_pandas() -> pd.DataFrame:
    rows = read(CENSUS / "predictions.parquet").merge(read(CENSUS / "outcomes.parquet"), on="id")
    ages = pd.cut(rows.AGEP, [0, 30, 50, 65, 200], right=False)
    rows = rows.assign(
        day=pd.to_datetime(rows.year.astype(str) + "-07-01"),
        version="2014",
        age_group=ages.cat.rename_categories(["16-29", "30-49", "50-64", "65+"]),
    )
    yes, employed, all_rows = rows.prediction == 1, rows.employed == 1, rows.id.notna()
    shares = {
        "accuracy": (yes == employed, all_rows),
        "precision": (employed, yes),
        "recall": (yes, employed),
        "conversion_rate": (employed, all_rows),
    }
    return pd.concat(
        spread(rows, metric, hits, among, ["age_group"]) for metric, (hits, among) in shares.items()
    )


@dataclass(frozen=True)
class Log:
    """A public log: how its workspace is made, and its metrics without Throughline."""

    name: str
    make: Callable[[Project], Path]
    in_pandas: Callable[[], pd.DataFrame]


LOGS = [Log("open_bandit", copy_open_bandit, open_bandit_in_pandas)]
if CENSUS.is_dir():
    LOGS.append(Log("census_employment", make_census, census_in_pandas))


@dataclass(frozen=True)
class Built:
    project: Project
    folder: Path
    expected: pd.DataFrame


@pytest.fixture(scope="module", params=LOGS, ids=lambda log: log.name)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    log: Log = request.param
    project = Project.copy(tmp_path_factory.mktemp(log.name) / "project")
    folder = log.make(project)
    run = project.build(folder, "--exclude-resource-type", "unit_test")
    assert run.status == 0, run.output
    return Built(project, folder, log.in_pandas())


def test_no_real_row_is_refused(built: Built) -> None:
    assert query(built.folder, "select * from stg_rejected_rows").empty


def test_real_metrics_equal_pandas(built: Built) -> None:
    """Every day, version and segment value of every metric that the log has."""
    waist = query(
        built.folder,
        "select * replace (cast(metric_date as timestamp) as metric_date) from fct_metrics",
    )
    metrics = built.expected.index.unique("metric")
    waist = waist.rename(columns={"metric_date": "day", "model_version": "version"})
    ours = waist[waist.metric.isin(metrics) & (waist.denominator > 0)]
    ours = ours.set_index(SERIES)[["numerator", "denominator"]].sort_index()
    expected = built.expected[built.expected.denominator > 0].sort_index()
    assert list(ours.index) == list(expected.index)
    np.testing.assert_array_equal(ours, expected)


def test_real_metrics_equal_metricflow(built: Built) -> None:
    metrics = sorted(built.expected.index.unique("metric"))
    group_by = ["metric_time__month", "decision__model_version"]
    (answer,) = built.project.metricflow(built.folder, [{"metrics": metrics, "group_by": group_by}])
    answer["month"] = pd.to_datetime(answer.metric_time__month)
    theirs = answer.set_index(["month", "decision__model_version"])[metrics].sort_index()
    totals = built.expected.xs("all", level="segment_name").reset_index()
    totals["month"] = totals.day.dt.to_period("M").dt.to_timestamp()
    sums = totals.groupby(["metric", "month", "version"])[["numerator", "denominator"]].sum()
    shares = (sums.numerator / sums.denominator).unstack("metric").sort_index()
    assert list(theirs.index) == list(shares.index)
    np.testing.assert_allclose(theirs.astype(float), shares[metrics], rtol=1e-9)


def test_open_bandit_has_the_published_clicks() -> None:
    by_campaign = open_bandit_in_pandas().xs(("conversion_rate", "campaign"), level=(0, 3))
    clicks = by_campaign.groupby(["segment_value", "version"])[["numerator", "denominator"]].sum()
    assert clicks.numerator.to_dict() == {
        ("men", "bts"): 69,
        ("men", "random"): 46,
        ("women", "bts"): 46,
        ("women", "random"): 46,
    }
    assert set(clicks.denominator) == {10_000}
