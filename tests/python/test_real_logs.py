"""Public logs of real systems, built as they are, against pandas over the same files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import plain_pandas
from building import NO_UNIT_TESTS, ROOT, Project, assert_waist_is, query
from plain_adoption import Adoption
from plain_values import Values, assert_values_are, hidden_cells
from throughline import seeds, workspace

OPEN_BANDIT = ROOT / "examples/open_bandit"
CENSUS = ROOT.parent / "shared/data/census_employment"
PAIR = "sex & rac1p"
ASKED_OF_METRICFLOW = ["conversion_rate", "accuracy", "acceptance_rate", "label_coverage"]
pytestmark = pytest.mark.slow

Raw = dict[str, pd.DataFrame]


def copy_open_bandit(project: Project) -> Path:
    folder = project.root / "open_bandit"
    shutil.copytree(OPEN_BANDIT, folder, ignore=shutil.ignore_patterns("warehouse.duckdb*"))
    return folder


def open_bandit_rows() -> Raw:
    """The impressions as each raw table that the workspace maps them onto."""
    log = plain_pandas.read_parquet(OPEN_BANDIT / "raw/impressions.parquet")
    rows = pd.DataFrame(
        {
            "prediction_id": log.policy + "-" + log.campaign + "-" + log.source_row.astype(str),
            "model_id": "recommender",
            "loaded_at": pd.to_datetime(log.impression_ts, utc=True).dt.tz_localize(None),
        }
    )
    was_clicked = log.click == 1
    return {
        "prediction_logs": rows.assign(
            model_version=log.policy,
            predicted_at=rows.loaded_at,
            entity_id=log.item_id.astype(str),
            predicted_label=log.item_id.astype(str),
            list_id=rows.prediction_id,
            rank_position=log.position,
            propensity=log.propensity_score,
            campaign=log.campaign,
            position=log.position.astype(str),
        ),
        "usage_events": rows.assign(
            event_id=rows.prediction_id,
            event_name=np.where(was_clicked, "accepted", "exposed"),
            occurred_at=rows.loaded_at,
            user_id="anonymous",
            is_passive=~was_clicked,
        ),
        "business_outcomes": rows.drop(columns="model_id").assign(
            outcome_id=rows.prediction_id,
            outcome_name="clicked",
            outcome_label=log.click.astype(str),
            occurred_at=rows.loaded_at,
            observed_at=rows.loaded_at,
        ),
        "experiment_assignments": rows[["loaded_at"]].assign(
            experiment_id="open_bandit_" + log.campaign,
            unit_id=rows.prediction_id,
            variant=log.policy,
            assigned_at=rows.loaded_at,
            first_exposed_at=rows.loaded_at,
        ),
    }


CENSUS_SETTINGS: dict[str, Any] = {
    "as_of": "2019-07-01 00:00:00",
    "inputs": ["prediction_logs", "business_outcomes"],
    "segments": ["age_group"],
    "protected_attributes": ["sex", "rac1p"],
    "numeric_features": ["agep", "schl"],
    "categorical_features": ["mar", "cit", "nativity", "dis", "mil", "relp", "rac1p"],
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
    "employment,Employment,Census,binary,Statistics,Tell who is employed,employed,1,gain,,0.5,30,0,"
    "false,2015-01-01,2015-12-31,true,false,,,,Statistics,Public microdata\n"
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


def census_rows() -> Raw:
    people = plain_pandas.read_parquet(CENSUS / "predictions.parquet")
    moment = pd.to_datetime(people.year.astype(str) + "-07-01")
    ages = pd.cut(people.AGEP, [0, 30, 50, 65, 200], right=False)
    answers = plain_pandas.read_parquet(CENSUS / "outcomes.parquet")
    answers = answers[["id"]].astype(str).assign(employed=answers.employed.astype(str))
    return {
        "prediction_logs": pd.DataFrame(
            {
                "prediction_id": people.id.astype(str),
                "model_id": "employment",
                "model_version": "2014",
                "predicted_at": moment,
                "entity_id": people.id.astype(str),
                "score": people.predicted_probability,
                "predicted_label": people.prediction.astype(str),
                "loaded_at": moment,
                "age_group": ages.cat.rename_categories(["16-29", "30-49", "50-64", "65+"]).astype(
                    str
                ),
            }
        ),
        "business_outcomes": pd.DataFrame(
            {
                "outcome_id": answers.id,
                "outcome_name": "employed",
                "prediction_id": answers.id,
                "outcome_label": answers.employed,
                "occurred_at": pd.Timestamp("2018-07-02"),
                "observed_at": pd.Timestamp("2018-07-02"),
                "loaded_at": pd.Timestamp("2018-07-02"),
            }
        ),
    }


@dataclass(frozen=True)
class Log:
    """A public log: how its workspace is made, and its rows mapped by hand."""

    name: str
    make: Callable[[Project], Path]
    rows: Callable[[], Raw]


LOGS = [Log("open_bandit", copy_open_bandit, open_bandit_rows)]
if CENSUS.is_dir():
    LOGS.append(Log("census_employment", make_census, census_rows))


@dataclass(frozen=True)
class Built:
    project: Project
    folder: Path
    plain: plain_pandas.Company
    expected: pd.DataFrame


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            log, id=log.name, marks=pytest.mark.thorough if log.name != "open_bandit" else ()
        )
        for log in LOGS
    ],
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    log: Log = request.param
    project = Project.copy(tmp_path_factory.mktemp(log.name) / "project")
    folder = log.make(project)
    run = project.build(folder, *NO_UNIT_TESTS)
    assert run.status == 0, run.output
    settings = yaml.safe_load((folder / "vars.yml").read_text())
    plain = plain_pandas.Company(
        raw=log.rows(),
        seeds=folder / "seeds",
        as_of=settings["as_of"],
        segments=settings["segments"],
    )
    return Built(project, folder, plain, plain.metrics())


def test_no_real_row_is_refused(built: Built) -> None:
    assert query(built.folder, "select * from stg_rejected_rows").empty


def test_real_metrics_equal_pandas(built: Built) -> None:
    """Every day, version and segment value of every metric that has any."""
    assert len(set(built.expected.metric)) >= 15
    assert_waist_is(built.folder, built.expected)


def test_real_values_equal_pandas(built: Built) -> None:
    """Every value, interval, status and reason, by day, week, 28 days and month."""
    seeds = built.folder / "seeds"
    plain = Values(built.plain, project=ROOT, seeds=seeds, minimum_cell=20).table()
    assert_values_are(built.folder, plain)
    assert (plain.status == "ready").sum() > 100


def test_real_users_equal_pandas(built: Built) -> None:
    """What one log tells of its users, and why it tells no more."""
    told = query(built.folder, "from mart_adoption where segment_name = 'all'")
    assert set(told.adoption_reason) == {"eligible_users_left_out"}
    assert told.eligible_users.isna().all()
    users = told.set_index("activity_date").daily_active_users
    if built.plain.events.empty:
        assert set(told.use_reason) == {"usage_events_left_out"}
        assert users.isna().all()
        return
    plain = pd.DataFrame(Adoption(built.plain).rows())
    whole = plain[plain.segment_name == "all"].set_index("activity_date")
    assert list(users) == list(whole.daily_active_users[users.index])
    assert told.weekly_active_users.notna().sum() == len(told) - 6
    # one name for all visitors is one user, of whom no segment tells anything
    assert set(users) <= {0, 1}
    segments = query(
        built.folder, "select distinct use_reason from mart_adoption where segment_name <> 'all'"
    )
    assert set(segments.use_reason) == {"private"}
    assert query(built.folder, "from mart_surveys").empty
    assert query(built.folder, "from mart_requests").empty


def test_real_groups_equal_pandas(built: Built) -> None:
    """Each rate of each sex and race over all years; a log without such columns has no groups."""
    fairness = query(built.folder, "from mart_fairness where period = 'all'")
    if built.folder.name != "census":
        assert fairness.empty
        return
    people = plain_pandas.read_parquet(CENSUS / "predictions.parquet")
    answers = plain_pandas.read_parquet(CENSUS / "outcomes.parquet")[["id", "employed"]]
    # the labels of 2018 are not known to be complete
    people = people[people.year < 2018]
    rows = people.merge(answers, on="id").astype({"SEX": str, "RAC1P": str})
    checked = 0
    for attribute, names in (("sex", ["SEX"]), ("rac1p", ["RAC1P"]), (PAIR, ["SEX", "RAC1P"])):
        told = fairness[(fairness.attribute == attribute) & (fairness.model_version == "all")]
        told = told.set_index(
            ["group_value"] if len(names) == 1 else ["group_value", "other_value"]
        )
        plain = rows.groupby(names if len(names) > 1 else names[0]).apply(
            rates, include_groups=False
        )
        if len(names) == 1:
            hides = hidden_cells(plain.row_count.tolist(), 20)
            assert told.row_count.isna()[plain.index].tolist() == hides
        shown = told[told.row_count.notna()]
        plain = plain.loc[shown.index]
        assert (shown.row_count == plain.row_count).all()
        for name in ("selection_rate", "mean_score", "observed_share"):
            np.testing.assert_allclose(shown[name], plain[name], rtol=1e-9)
        for name, of in (("true_positive_rate", "positives"), ("false_positive_rate", "negatives")):
            expected = plain[name].where(plain[of] >= 20)
            np.testing.assert_allclose(shown[name].astype(float), expected, rtol=1e-9)
        checked += len(shown)
    # nobody learns of the six people of race 4
    assert set(
        fairness[fairness.row_count.isna() & (fairness.attribute == "rac1p")].group_value
    ) == {
        "4",
        "7",
    }
    assert checked > 20


def rates(rows: pd.DataFrame) -> pd.Series:
    """What the mart says of a group, by hand."""
    is_positive = rows.employed == 1
    return pd.Series(
        {
            "row_count": len(rows),
            "selection_rate": rows.prediction.mean(),
            "mean_score": rows.predicted_probability.mean(),
            "observed_share": is_positive.mean(),
            "true_positive_rate": rows.prediction[is_positive].mean(),
            "false_positive_rate": rows.prediction[~is_positive].mean(),
            "positives": is_positive.sum(),
            "negatives": (~is_positive).sum(),
        }
    )


def test_real_features_do_not_drift(built: Built) -> None:
    """The census of four years is alike, and a log of a week has no week to compare."""
    drift = query(built.folder, "select * from mart_drift where model_version = 'all'")
    assert not (drift.status == "drift").any(), drift[drift.status == "drift"].to_string()
    judged = drift[drift.status == "stable"]
    if built.folder.name == "census":
        named = {"agep", "schl", "mar", "cit", "nativity", "dis", "mil", "relp"}
        assert set(judged.feature) == named | {"score", "predicted_label", "actual_label"}
        # two years by week, of the score also by day: the last day of a log may not be whole
        assert len(judged) == 2 * (len(named) + 3) + 2
        assert (judged.effective_count > 60_000).all()
        # of all years, people's answers move a little more than the score
        largest = query(
            built.folder,
            "select feature, max(psi) as psi from int_drift_verdicts group by feature",
        )
        sizes = largest.set_index("feature").psi
        assert sizes["score"] <= 0.00082
        assert sizes.max() < 0.004


def test_real_metrics_equal_metricflow(built: Built) -> None:
    totals = built.expected[built.expected.segment_name == "all"]
    totals = totals[totals.metric.isin(ASKED_OF_METRICFLOW)]
    totals = totals.assign(month=totals.metric_date.dt.to_period("M").dt.to_timestamp())
    sums = totals.groupby(["metric", "month", "model_version"])[["numerator", "denominator"]].sum()
    shares = (sums.numerator / sums.denominator).unstack("metric").sort_index()
    group_by = ["metric_time__month", "decision__model_version"]
    metrics = list(shares.columns)
    (answer,) = built.project.metricflow(built.folder, [{"metrics": metrics, "group_by": group_by}])
    answer["month"] = pd.to_datetime(answer.metric_time__month)
    theirs = answer.set_index(["month", "decision__model_version"])[metrics].sort_index()
    assert list(theirs.index) == list(shares.index)
    np.testing.assert_allclose(theirs.astype(float), shares, rtol=1e-9)


def test_open_bandit_has_the_published_clicks() -> None:
    log = plain_pandas.read_parquet(OPEN_BANDIT / "raw/impressions.parquet")
    clicks = log.groupby(["campaign", "policy"]).click.agg(["sum", "count"])
    assert clicks["sum"].to_dict() == {
        ("men", "bts"): 69,
        ("men", "random"): 46,
        ("women", "bts"): 46,
        ("women", "random"): 46,
    }
    assert set(clicks["count"]) == {10_000}
