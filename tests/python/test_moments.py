"""Unit totals and moments of a company with trials of every kind, against plain pandas."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import plain_pandas
from building import ROOT, WITHOUT_TESTS, Project, experiment, query
from throughline.lift.moments import PRODUCTS, VARIABLES
from throughline.simulate import simulate

pytestmark = pytest.mark.slow

AS_OF = pd.Timestamp("2026-07-01")
SEGMENTS = ["channel", "device", "region"]
METRICS = [
    "conversion_rate",
    "acceptance_rate",
    "value_per_decision",
    "credited_revenue",
    "retained_customers",
    "revenue_per_active_user_day",
    "adoption_rate",
    "csat",
]


@dataclass(frozen=True, kw_only=True)
class Trial:
    name: str
    model: str = "next_best_offer"
    unit: str = "user"
    end: str = "2026-05-10"
    window: int = 10
    covariates: int = 0
    method: str = "fixed"
    secondary: Sequence[str] = ()
    uptake: str = ""

    @property
    def key(self) -> str:
        return f"{self.unit}_id"


TRIALS = [
    Trial(name="users", end="2026-06-20", covariates=21, secondary=METRICS[1:]),
    Trial(name="clusters", window=14, covariates=28, method="did", secondary=METRICS[1:4]),
    Trial(
        name="leads",
        model="lead_scoring",
        unit="entity",
        window=20,
        secondary=["value_of_decisions"],
    ),
    Trial(name="single", unit="prediction", window=5, secondary=METRICS[1:3]),
    Trial(name="offered", covariates=14, method="instrument", uptake="value_of_decisions"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project.copy(tmp_path_factory.mktemp("trials") / "project")
    workspace = project.root / "workspace"
    simulate(out=workspace, predictions=16_000, days=120, seed=5)
    seeds = workspace / "seeds"
    shutil.copytree(ROOT / "seeds", seeds)
    declared = [
        experiment(
            trial.name,
            model_id=trial.model,
            unit_type=trial.unit,
            control_variant="a",
            expected_split="a:0.5;b:0.5",
            start_date="2026-04-20",
            planned_end_date=trial.end,
            window_days=str(trial.window),
            covariate_days=str(trial.covariates),
            method=trial.method,
            primary_metric="credited_revenue" if trial.uptake else METRICS[0],
            secondary_metrics=";".join(trial.secondary),
            uptake_metric=trial.uptake,
            minimum_effect_kind="absolute" if trial.uptake else "relative",
        )
        for trial in TRIALS
    ]
    header, *_ = (seeds / "experiments.csv").read_text().splitlines()
    (seeds / "experiments.csv").write_text("\n".join([header, *declared, ""]))
    (seeds / "experiment_guardrails.csv").write_text(
        "experiment_id,metric,margin,margin_kind,owner,rationale\n"
    )
    assign(workspace)
    run = project.build(workspace, "--select", "+fct_moments", *WITHOUT_TESTS)
    assert run.status == 0, run.output
    return workspace


def assign(workspace: Path) -> None:
    """Puts the units of the company into the trials; some twice, late, in clusters, unplanned."""
    folder = workspace / "raw" / "experiment_assignments"
    shutil.rmtree(folder)
    folder.mkdir()
    parts = [
        f"""
        select '{trial.name}' as experiment_id, {trial.key} as unit_id,
            case when r % 97 = 0 then 'stray' when r % 2 = 0 then 'a' else 'b' end as variant,
            predicted_at + to_seconds(((r % 7) - 1) * 3600) as assigned_at,
            case when r % 5 = 0 then assigned_at + to_hours(r % 400) end as first_exposed_at,
            case when '{trial.name}' = 'clusters' then
                case when r // 2 % 5 = 0 then 'mixed' || (r // 10 % 4) else 'k' || (r % 40) end
            end as cluster_id,
            case when r % 3 = 0 then (r % 1000) / 7 end as covariate
        from (
            select {trial.key},
                (hash('{trial.name}' || {trial.key})::hugeint % 1000003)::bigint as r,
                min(predicted_at) as predicted_at
            from '{workspace}/raw/prediction_logs/*.parquet'
            where model_id = '{trial.model}' and predicted_at >= timestamp '2026-04-20'
                and predicted_at < timestamp '{trial.end}' and {trial.key} is not null
            group by all
        )
        """
        for trial in TRIALS
    ]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"create table rows as {' union all '.join(parts)}")
        connection.execute(
            "insert into rows "
            "select experiment_id, unit_id, 'b', assigned_at + to_hours(30), null, cluster_id, "
            "covariate from rows where variant = 'a' and hash(unit_id) % 29 = 0"
        )
        connection.execute(
            "copy (select *, coalesce(first_exposed_at, assigned_at) as loaded_at from rows) "
            f"to '{folder}/rows.parquet' (format parquet)"
        )


@pytest.fixture(scope="module")
def company(built: Path) -> plain_pandas.Company:
    return plain_pandas.Company(
        raw=plain_pandas.read_raw(built),
        seeds=built / "seeds",
        as_of=str(AS_OF),
        segments=SEGMENTS,
    )


def test_moments_are_those_of_the_raw_files(built: Path, company: plain_pandas.Company) -> None:
    moments = query(built, "select * from fct_moments")
    moments = moments.set_index(
        ["experiment_id", "metric", "pair_role", "totals", "variant", "segment_name"]
    )
    moments = moments.set_index("segment_value", append=True).sort_index()
    seen = 0
    for trial in TRIALS:
        units = units_of(company, trial)
        for (metric, role, totals), rows in moments.loc[trial.name].groupby(level=[0, 1, 2]):
            expected = reduced(company, units, trial, metric=metric, role=role, totals=totals)
            found = rows.droplevel([0, 1, 2])
            assert set(found.index) == set(expected), (trial.name, metric, totals)
            for place, cell in expected.items():
                where = (trial.name, metric, totals, *place)
                assert_row_is(found.loc[place], cell, where=where)
                repeated = users_repeated(company, units, trial)
                assert found.loc[place].n_users_repeated == repeated, where
                seen += 1
    kinds = set(moments.index.droplevel(["variant", "segment_name", "segment_value"]))
    assert len(kinds) == 8 + 1 + 1 + 4 + 1 + 2 + 3 + 4, kinds
    assert seen > 500


def test_what_is_left_out_is_counted(built: Path) -> None:
    moments = query(
        built,
        "select * from fct_moments where segment_name = 'all' and totals = 'raw'",
    )
    users = moments[moments.experiment_id == "users"]
    assert set(users.variant) == {"a", "b", "stray"}
    assert users.n_multi.max() > 1
    assert users[users.metric == "conversion_rate"].n_immature.sum() > 0
    assert users[users.metric == "acceptance_rate"].n_immature.sum() == 0
    assert users.n_covariate_missing.max() > 10
    clusters = moments[moments.experiment_id == "clusters"]
    assert clusters.n_late.max() > 1
    assert (clusters.n_rows < clusters.n_units).all()
    assert clusters.n_clusters_shared.max() > 0
    assert (clusters.n_clusters_shared < clusters.n_rows).any()
    assert (clusters.n_exposed < clusters.n_units).any()
    assert (clusters.n_unclustered == 0).all()
    surveyed = users[users.metric == "csat"]
    assert (surveyed.n_exposed > surveyed.n_units + surveyed.n_immature + surveyed.n_late).any()
    repeated = moments.groupby("experiment_id").n_users_repeated.max()
    assert repeated[repeated > 0].index.tolist() == ["single"]


def test_constants_lie_near_the_means(built: Path) -> None:
    moments = query(built, "select * from fct_moments where segment_name = 'all'")
    of_units = moments[(moments.n_rows == moments.n_units) & (moments.n_rows > 1)]
    for name in ("y", "d", "x"):
        pooled = of_units.groupby(["experiment_id", "metric", "pair_role", "totals"])[
            ["n_units", f"s_{name}", f"s_{name}{name}"]
        ].sum()
        mean = pooled[f"s_{name}"] / pooled.n_units
        deviation = np.sqrt(np.maximum(pooled[f"s_{name}{name}"] / pooled.n_units - mean**2, 0))
        assert (np.abs(mean) <= 2.01 * deviation).all(), name


def test_sums_of_whole_numbers_are_exact(built: Path) -> None:
    """So that they are the same in whatever order a warehouse adds."""
    moments = query(built, "select * from fct_moments where metric = 'conversion_rate'")
    names = [f"s_{a}{b}" for a, b in combinations_with_replacement("ydxw", 2)]
    sums = moments[[*names, *(f"s_{name}" for name in "ydxw")]].to_numpy()
    assert np.count_nonzero(sums) > 500
    assert (np.mod(sums * 2**12, 1) == 0).all()


def units_of(company: plain_pandas.Company, trial: Trial) -> pd.DataFrame:
    """The assignments of a trial: when exposed, how they count, and their segments."""
    raw = company.assignments
    units = raw[raw.experiment_id == trial.name].copy()
    units["t0"] = units.first_exposed_at.fillna(units.assigned_at)
    units = units.sort_values(["t0", "variant"])
    units["is_first"] = ~units.duplicated("unit_id")
    units["is_multi"] = units.duplicated("unit_id", keep=False)
    first, last = pd.Timestamp("2026-04-20"), pd.Timestamp(trial.end)
    units["is_late"] = ~units.t0.between(first, last, inclusive="left")
    # units that do not count spoil no cluster
    counting = units[~units.is_multi & ~units.is_late]
    variants = counting.groupby("cluster_id").variant.nunique()
    units["is_shared"] = units.cluster_id.map(variants) > 1
    decisions = company.decisions.sort_values(["predicted_at", "prediction_id"])
    pairs = units[["unit_id", "variant", "t0"]].merge(
        decisions, left_on="unit_id", right_on=trial.key
    )
    if trial.unit != "prediction":
        pairs = pairs[pairs.predicted_at <= pairs.t0]
    latest = pairs.drop_duplicates(["unit_id", "variant"], keep="last")
    latest = latest.set_index(["unit_id", "variant"])[SEGMENTS]
    units = units.set_index(["unit_id", "variant"])
    for segment in SEGMENTS:
        units[segment] = latest[segment].reindex(units.index).fillna("(unknown)")
    return units.reset_index()


def users_repeated(company: plain_pandas.Company, units: pd.DataFrame, trial: Trial) -> int:
    """Units, where those are predictions, of users who have several that count."""
    if trial.unit != "prediction":
        return 0
    users = company.decisions.set_index("prediction_id").user_id
    counting = units[~units.is_multi & ~units.is_late]
    counts = counting.unit_id.map(users).value_counts()
    return int(counts[counts > 1].sum())


def totals_of(
    units: pd.DataFrame,
    trial: Trial,
    rows: pd.DataFrame,
    values: pd.Series,
    *,
    how: str = "sum",
    wait: int = 0,
) -> pd.DataFrame:
    """Totals of a column per assignment: in the window, before, and in the later half of before.

    What is known `wait` days after it happened counts before exposure by when it was known, and
    what changed after the exposure does not count.
    """
    rows = rows.assign(value=values.astype(float))
    rows = rows[rows.model_id.isin([trial.model, "(none)"]) & rows.value.notna()]
    pairs = units[["unit_id", "variant", "t0"]].merge(
        rows[[trial.key, "happened", "changed", "by_day", "value"]],
        left_on="unit_id",
        right_on=trial.key,
    )
    start = pairs.t0.where(~pairs.by_day, pairs.t0.dt.normalize())
    age = (pairs.happened - start) / pd.Timedelta(days=1)
    is_known = (age + wait < 0) & ~(pairs.changed >= start)
    spans = {
        "now": (age >= 0) & (age < trial.window),
        "before": is_known & (age + wait >= -trial.covariates),
        "just_before": is_known & (age + wait >= -trial.covariates / 2),
    }
    if trial.unit == "prediction":
        spans = {"now": age < trial.window, "before": age > np.inf, "just_before": age > np.inf}
    keys = [units.unit_id, units.variant]
    found = pd.DataFrame(index=pd.MultiIndex.from_arrays(keys))
    for name, holds in spans.items():
        groups = pairs[holds].groupby(["unit_id", "variant"]).value
        sums = (groups.max() != 0).astype(float) if how == "any" else groups.sum()
        found[name] = sums.reindex(found.index)
    found[["before", "just_before"]] = found[["before", "just_before"]].fillna(0)
    return found


def values_of(
    company: plain_pandas.Company, units: pd.DataFrame, trial: Trial, metric: str
) -> tuple[pd.DataFrame, pd.DataFrame | None, int]:
    """Numerator and denominator per assignment, and days until they are known after the window."""
    registry = company.registry.set_index("model_id").loc[trial.model]
    label = int(registry.horizon_days + registry.label_delay_days)
    outcome = int(registry.label_delay_days)
    d = company.decisions.assign(
        happened=company.decisions.predicted_at, changed=pd.NaT, by_day=False
    )
    touched = company.events[company.events.event_name != "task_completed"]
    actions = touched[~touched.event_name.isin(["exposed", "viewed"])]
    first_shown = d.prediction_id.map(touched.groupby("prediction_id").occurred_at.min())
    last_acted = d.prediction_id.map(actions.groupby("prediction_id").occurred_at.max())
    days = company.user_days.assign(happened=company.user_days.day, changed=pd.NaT, by_day=True)

    def credited(kind: str) -> pd.DataFrame:
        rows = company.credited(kind).merge(
            company.outcomes[["outcome_id", "user_id", "entity_id"]], on="outcome_id"
        )
        return rows.assign(happened=rows.occurred_at, changed=pd.NaT, by_day=False)

    revenue, churn = credited("money"), credited("churn")
    asked = company.feedback.assign(
        happened=company.feedback.asked_at, changed=company.feedback.responded_at, by_day=False
    )
    answered = (asked.survey_type == "csat") & asked.score.notna()
    top = answered & ((asked.score - asked.scale_min) / (asked.scale_max - asked.scale_min) >= 0.75)

    def of(
        rows: pd.DataFrame, values: pd.Series, how: str = "sum", *, wait: int = 0
    ) -> pd.DataFrame:
        found = totals_of(units, trial, rows, values, how=how, wait=wait)
        if how != "drop":
            found["now"] = found.now.fillna(0)
        return found

    matured = d.state == "matured"
    valued = d.cell.notna() & d.value.notna()
    if metric == "conversion_rate":
        return of(d, d.is_yes, wait=label), of(d, matured, wait=label), label
    if metric == "acceptance_rate":
        accepted = of(d.assign(changed=last_acted), d.action == "accepted")
        return accepted, of(d.assign(changed=first_shown), d.action != "not_shown"), 0
    if metric == "value_per_decision":
        return of(d, d.value, wait=label), of(d, valued, wait=label), label
    if metric == "value_of_decisions":
        return of(d, d.value, wait=label), None, label
    if metric == "credited_revenue":
        return of(revenue, revenue.amount), None, outcome
    if metric == "retained_customers":
        return of(churn, churn.outcome_label == "false", "any"), None, outcome
    if metric == "revenue_per_active_user_day":
        return of(revenue, revenue.amount), of(days, days.active), outcome
    if metric == "adoption_rate":
        return of(days, days.eligible * days.active), of(days, days.eligible), 0
    assert metric == "csat"
    # one who was asked nothing, or did not answer, says nothing
    named = asked[asked.model_id == trial.model]
    return of(asked, top), of(named, answered[named.index], "drop"), 0


@dataclass(frozen=True)
class Cell:
    """The units of a row of moments, and where their totals are capped."""

    units: pd.DataFrame
    cap: float | None


def reduced(
    company: plain_pandas.Company,
    units: pd.DataFrame,
    trial: Trial,
    *,
    metric: str,
    role: str,
    totals: str,
) -> dict[tuple[str, str, str], Cell]:
    """The units of each variant and segment value."""
    above, below, wait = values_of(company, units, trial, metric)
    frame = units.assign(
        y=above.now.to_numpy(), x=above.before.to_numpy(), e=above.just_before.to_numpy()
    )
    frame["d"], frame["w"], frame["c"] = 0.0, 0.0, frame.covariate
    if below is not None:
        frame["d"], frame["w"] = below.now.to_numpy(), below.before.to_numpy()
    is_known = frame.y.notna() & frame.d.notna()
    mature = frame.t0 + pd.Timedelta(days=trial.window + wait) <= AS_OF
    if role == "uptake":
        used, _, uptake_wait = values_of(company, units, trial, trial.uptake)
        frame["d"], frame["w"] = used.now.to_numpy(), used.before.to_numpy()
        wait_longer = frame.t0 + pd.Timedelta(days=trial.window + uptake_wait) <= AS_OF
    state = np.select(
        [
            frame.is_multi & frame.is_first,
            frame.is_multi,
            frame.is_late,
            ~mature,
            ~is_known,
        ],
        ["multi", "elsewhere", "late", "immature", "missing"],
        "counted",
    )
    cap = None
    if totals == "capped":
        ordered = np.sort(frame.y[state == "counted"].to_numpy())
        cap = ordered[int(np.ceil(0.99 * len(ordered) - 1e-9)) - 1]
        # each half of the days before has half of the cap
        earlier, later = ((frame.x - frame.e).clip(upper=cap / 2), frame.e.clip(upper=cap / 2))
        frame = frame.assign(y=frame.y.clip(upper=cap), x=earlier + later, e=later)
    if role == "uptake":
        state = np.where((state == "counted") & ~wait_longer, "immature", state)
    frame["state"] = state
    rows = {}
    for segment in ["all", *SEGMENTS]:
        value = "all" if segment == "all" else frame[segment]
        kept = frame.assign(value=value)[frame.state != "elsewhere"]
        for (variant, named), part in kept.groupby(["variant", "value"]):
            rows[variant, segment, named] = Cell(part, cap)
    return rows


def assert_row_is(found: pd.Series, cell: Cell, *, where: object) -> None:
    part = cell.units
    counted = part[part.state == "counted"].copy()
    for state in ("immature", "multi", "late"):
        assert found[f"n_{state}"] == (part.state == state).sum(), (where, state)
    assert found.n_units == len(counted), where
    assert found.n_unclustered == counted.cluster_id.isna().sum(), where
    exposed = part[part.state != "multi"]
    is_clustered = part.cluster_id.notna().any()
    rows_exposed = exposed.cluster_id.nunique() if is_clustered else len(exposed)
    assert found.n_exposed == rows_exposed, where
    has_covariates = bool(found.k_c) or bool(found.s_cc)
    if has_covariates:
        assert found.n_covariate_missing == counted.c.isna().sum(), where
    for name in VARIABLES:
        # an unknown covariate stands at its constant
        counted[name] = counted[name].fillna(found[f"k_{name}"]) - found[f"k_{name}"]
    counted["m"] = 1.0
    names = ["m", *VARIABLES]
    rows = counted[names]
    if counted.cluster_id.notna().any():
        rows = counted.groupby("cluster_id")[names].sum()
        shared = counted.groupby("cluster_id").is_shared.max()
        assert found.n_clusters_shared == shared.sum(), where
    assert found.n_rows == len(rows), where
    if cell.cap is None:
        assert np.isnan(found.cap_value), where
    else:
        np.testing.assert_allclose(found.cap_value, cell.cap, rtol=1e-9)
    for name in VARIABLES:
        size = np.abs(rows[name]).sum()
        np.testing.assert_allclose(
            found[f"s_{name}"], rows[name].sum(), rtol=0, atol=1e-9 * (1 + size), err_msg=str(where)
        )
    for product in PRODUCTS:
        terms = rows[product[2]] * rows[product[3]]
        np.testing.assert_allclose(
            found[product], terms.sum(), rtol=0, atol=1e-9 * (1 + np.abs(terms).sum())
        )
