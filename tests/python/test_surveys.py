"""What users say: survey numbers, their intervals and what people ask for, from the raw answers."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import plain_pandas
from building import ROOT, query

SIGNS = re.compile(r'[].,;:!?()/"[\n\r\t-]')
AS_OF = pd.Timestamp("2026-07-01")
MINIMUM, FEW = 20, 0.2
METRICS = {"nps": "nps", **{survey: metric for metric, survey in plain_pandas.RATED.items()}}


@pytest.fixture(scope="module")
def company(demo: Path) -> plain_pandas.Company:
    return plain_pandas.Company(
        raw=plain_pandas.read_raw(demo), seeds=ROOT / "seeds", as_of=str(AS_OF), segments=[]
    )


@pytest.fixture(scope="module")
def answers(company: plain_pandas.Company) -> pd.DataFrame:
    rows = company.feedback
    is_said = (rows.survey_type == "improvement") & rows.comment.notna()
    return rows.assign(day=rows.asked_at.dt.normalize(), is_answered=rows.score.notna() | is_said)


@pytest.fixture(scope="module")
def surveys(demo: Path) -> pd.DataFrame:
    return query(
        demo, "from mart_surveys where segment_name = 'all' and period in ('28d', 'month')"
    )


def test_every_survey_type_is_a_metric(demo: Path, surveys: pd.DataFrame) -> None:
    known = set(query(demo, "select metric from dim_metrics").metric)
    assert set(METRICS.values()) <= known
    assert set(surveys.survey_type) == set(plain_pandas.SURVEYS)
    read = query(demo, "select distinct metric from fct_metric_values where unit_count > 0")
    assert set(METRICS.values()) <= set(read.metric)


def test_surveys_count_what_was_asked_and_answered(
    surveys: pd.DataFrame, answers: pd.DataFrame
) -> None:
    shown = surveys.sample(400, random_state=1)
    rates = 0
    for row in shown.itertuples():
        asked = answers[
            (answers.model_id == row.model_id)
            & (answers.survey_type == row.survey_type)
            & (answers.day >= row.period_start_date)
            & (answers.day <= row.period_end_date)
        ]
        assert row.asked_count == len(asked)
        assert row.answered_count == asked.is_answered.sum()
        if len(asked) < MINIMUM:
            assert pd.isna(row.response_rate)
            assert row.response_reason == ("too_few_units" if len(asked) else "no_data")
            continue
        interval = stats.binomtest(int(row.answered_count), len(asked)).proportion_ci(
            method="wilson"
        )
        assert np.isclose(row.response_rate, asked.is_answered.mean())
        assert np.allclose([row.response_rate_low, row.response_rate_high], interval)
        assert row.is_answered_by_few == (row.response_rate < FEW)
        rates += 1
    assert rates > 100


def test_means_have_the_interval_of_student(surveys: pd.DataFrame, answers: pd.DataFrame) -> None:
    height = (answers.score - answers.scale_min) / (answers.scale_max - answers.scale_min)
    shown = surveys[surveys.mean_scale_share.notna()]
    assert (shown.scaled_count >= MINIMUM).all()
    assert surveys[surveys.mean_scale_share.isna()].scaled_count.max() < MINIMUM
    for row in shown.sample(150, random_state=2).itertuples():
        found = height[
            (answers.model_id == row.model_id)
            & (answers.survey_type == row.survey_type)
            & answers.day.between(row.period_start_date, row.period_end_date)
        ].dropna()
        low, high = stats.t.interval(0.95, len(found) - 1, found.mean(), stats.sem(found))
        assert np.isclose(row.mean_scale_share, found.mean())
        assert np.allclose([row.mean_scale_share_low, row.mean_scale_share_high], [low, high], 1e-5)


def test_the_net_promoter_score_is_promoters_less_detractors(
    surveys: pd.DataFrame, answers: pd.DataFrame
) -> None:
    shown = surveys[(surveys.survey_type == "nps") & surveys.value.notna()]
    assert len(shown) > 200
    for row in shown.sample(60, random_state=3).itertuples():
        scores = answers[
            (answers.model_id == row.model_id)
            & (answers.survey_type == "nps")
            & answers.day.between(row.period_start_date, row.period_end_date)
        ].score.dropna()
        promoters, detractors, n = (scores >= 9).sum(), (scores <= 6).sum(), len(scores)
        assert np.isclose(row.value, 100 * (promoters - detractors) / n)
        up, down = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
        half = stats.norm.ppf(0.975) * np.sqrt((up + down - (up - down) ** 2) / (n + 3))
        ends = np.clip([up - down - half, up - down + half], -1, 1)
        assert np.allclose([row.value_low, row.value_high], 100 * ends)


@pytest.mark.parametrize(("promoters", "detractors"), [(0.5, 0.2), (0.85, 0.1), (0.15, 0.15)])
def test_the_interval_of_the_score_covers_it(promoters: float, detractors: float) -> None:
    """Over 4,000 surveys of 40 answers the interval holds the truth 93 to 97 times of 100."""
    draw = np.random.default_rng(17).multinomial(
        40, [promoters, 1 - promoters - detractors, detractors], size=4000
    )
    up, down = ((draw[:, side] + 0.75) / 43 for side in (0, 2))
    half = stats.norm.ppf(0.975) * np.sqrt((up + down - (up - down) ** 2) / 43)
    covered = np.abs(up - down - (promoters - detractors)) <= half
    assert 0.93 <= covered.mean() <= 0.97


def words(text: str) -> str:
    """A text as its words in small letters, with a blank on each side."""
    return " " + SIGNS.sub(" ", text.lower()) + " "


def test_requests_are_counted_by_theme(
    demo: Path, company: plain_pandas.Company, answers: pd.DataFrame
) -> None:
    themes = pd.read_csv(ROOT / "seeds/survey_themes.csv")
    releases = company.releases[company.releases.event_type == "deployed"]
    deployed = {(row.release_id, row.model_id): row.event_at for row in releases.itertuples()}
    said = answers[(answers.survey_type == "improvement") & answers.comment.notna()]
    found = []
    for row in said[said.asked_at < AS_OF].itertuples():
        named: dict[str, list[pd.Timestamp]] = {}
        for theme in themes.itertuples():
            if words(theme.word) in words(row.comment):
                moment = deployed.get((theme.answered_by_release_id, row.model_id))
                named.setdefault(theme.theme, []).extend([moment] if moment else [])
        for theme, moments in (named or {"(none)": []}).items():
            first = min(moments, default=None)
            found.append(
                {
                    "response_id": row.response_id,
                    "model_id": row.model_id,
                    "theme": theme,
                    "month": row.asked_at.to_period("M").end_time.normalize(),
                    "answered": first is not None and first > row.asked_at,
                    "since": first is not None and first <= row.asked_at,
                }
            )
    plain = pd.DataFrame(found)
    # an answer counts once in total
    whole = plain.groupby(["response_id", "model_id", "month"])[["answered", "since"]].any()
    both = pd.concat([plain, whole.reset_index().assign(theme="all")])
    counts = both.groupby(["model_id", "theme", "month"]).agg(
        request_count=("theme", "size"), answered_count=("answered", "sum"), since=("since", "sum")
    )
    told = query(demo, "from mart_requests")
    months = told[told.period == "month"].set_index(["model_id", "theme", "period_end_date"])
    assert set(months.index) == set(counts.index)
    totals = counts.xs("all", level="theme").request_count
    shown = 0
    for key, row in months.iterrows():
        expected = counts.loc[key]
        total = totals[key[0], key[2]]
        if total < MINIMUM:
            assert row.reason == "too_few_units"
            assert pd.isna(row.answered_count)
            continue
        assert [row.request_count, row.answered_count, row.asked_since_count] == list(expected)
        assert np.isclose(row.request_share, expected.request_count / total)
        assert np.isclose(row.answered_share, expected.answered_count / expected.request_count)
        shown += 1
    assert shown > 50
    overall = told[told.period == "all"].set_index(["model_id", "theme"])
    sums = counts.groupby(["model_id", "theme"]).answered_count.sum()
    assert (overall.answered_count == sums[overall.index]).all()
    # a wish that a release answered is heard less often after it
    assert overall.answered_share["next_best_offer", "taste"] > 0.8
    assert overall.asked_since_count["lead_scoring", "fresh_scores"] > 0


def test_what_people_wrote_stays_in_staging(demo: Path) -> None:
    with duckdb.connect(str(demo / "warehouse.duckdb"), read_only=True) as connection:
        columns = connection.sql(
            "select schema_name, table_name, list(column_name) from duckdb_columns() "
            "where data_type = 'VARCHAR' and schema_name like 'main_%' "
            "and schema_name not in ('main_staging', 'main_config') group by all"
        ).fetchall()
        assert len(columns) > 50
        for schema, table, names in columns:
            texts = " || ' ' || ".join(f"coalesce(\"{name}\", '')" for name in names)
            found = connection.sql(
                f"select count(*) from {schema}.{table} "
                f"where contains({texts}, 'Show the phone number') or contains({texts}, 'my taste')"
            ).fetchone()
            assert found == (0,), f"{schema}.{table}"
