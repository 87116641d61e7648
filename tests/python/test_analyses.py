"""The analyses of sample size say what textbook formulas say of the same units."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from building import Project

SHIFTS = {"y": 7.5, "d": 2.25}
NORMAL = NormalDist()


def moments(
    experiment: str,
    variant: str,
    y: NDArray[Any],
    d: NDArray[Any] | None,
    size: int,
    *,
    totals: str = "raw",
    cap: float | None = None,
) -> dict[str, Any]:
    """A row of fct_moments; units lie in clusters of `size`, one after the other."""
    sums = {"m": np.ones(len(y)), "y": y - SHIFTS["y"]}
    if d is not None:
        sums["d"] = d - SHIFTS["d"]
    rows = {name: values.reshape(-1, size).sum(axis=1) for name, values in sums.items()}
    products = {
        f"s_{one}{two}": float(rows[one] @ rows[two]) if one in rows and two in rows else None
        for one, two in ("mm", "my", "md", "yy", "yd", "dd")
    }
    return {
        "experiment_id": experiment,
        "variant": variant,
        "metric": "income",
        "segment_name": "all",
        "pair_role": "none" if d is None else "denominator",
        "totals": totals,
        "cap_value": float("nan") if cap is None else cap,
        "n_rows": len(rows["m"]),
        "n_units": len(y),
        **{f"k_{name}": SHIFTS[name] if name in sums else None for name in SHIFTS},
        **{f"s_{name}": float(rows[name].sum()) if name in rows else None for name in SHIFTS},
        **products,
    }


def experiment(name: str, **cells: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "experiment_id": name,
        "model_id": name,
        "unit_type": "user",
        "control_variant": "control",
        "window_days": 7,
        "primary_metric": "income",
        "expected_units": 800,
        "minimum_effect": 0.05,
        "minimum_effect_kind": "relative",
        "alpha": 0.05,
        "power": 0.8,
        "decided_on": "raw",
    }
    return row | cells


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    project = Project.copy(tmp_path_factory.mktemp("analyses") / "project")
    names = ("sample_size", "minimum_detectable_effect")
    (project.root / "workspace").mkdir()
    command = ("--quiet", "compile", "--no-introspect", "--select", *names)
    run = project.dbt(project.root / "workspace", *command)
    assert run.status == 0, run.output
    folder = project.root / "target/compiled/throughline/analyses"
    return {name: (folder / f"{name}.sql").read_text() for name in names}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{tmp_path}/warehouse.duckdb' as warehouse; "
            "create schema warehouse.main_config; create schema warehouse.main_lift"
        )
        yield connection


def answers(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    experiments: list[dict[str, Any]],
    histories: list[dict[str, Any]],
) -> pd.DataFrame:
    for place, rows in (("config.cfg_experiments", experiments), ("lift.fct_moments", histories)):
        frame = pd.DataFrame(rows)
        connection.register("rows", frame)
        connection.execute(f"create or replace table warehouse.main_{place} as from rows")
        connection.unregister("rows")
    return connection.sql(query).df().set_index("experiment_id")


def factor(alpha: float, power: float) -> float:
    return NORMAL.inv_cdf(1 - alpha / 2) + NORMAL.inv_cdf(power)


def test_units_of_a_mean_a_ratio_and_clusters(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(20, 6, 400)
    d = rng.poisson(3, 400) + 1.0
    spend = d * rng.normal(5, 1, 400)
    shared = y + np.repeat(rng.normal(0, 5, 100), 4)
    ratio = spend.sum() / d.sum()
    sums = (shared - shared.mean()).reshape(-1, 4).sum(axis=1)
    variances = {
        "mean": (y.var(ddof=1), y.mean()),
        "ratio": ((spend - ratio * d).var(ddof=1) / d.mean() ** 2, ratio),
        "clusters": (100 / 99 * (sums**2).sum() / 400, shared.mean()),
    }
    given = {
        "experiments": [
            experiment("mean", alpha=0.01, power=0.99),
            experiment("ratio", minimum_effect=0.2, minimum_effect_kind="absolute"),
            experiment("clusters", expected_units=None, power=0.02),
            experiment("new"),
        ],
        "histories": [
            moments("mean", "control", y, None, 1),
            moments("mean", "treatment", y + 1, None, 1),
            moments("ratio", "control", spend, d, 1),
            moments("clusters", "control", shared, None, 4),
        ],
    }
    sizes = answers(warehouse, compiled["sample_size"], **given)
    effects = answers(warehouse, compiled["minimum_detectable_effect"], **given)
    for row in given["experiments"][:3]:
        name, alpha, power = (row[key] for key in ("experiment_id", "alpha", "power"))
        variance, level = variances[str(name)]
        assert sizes.variance[name] == pytest.approx(variance, rel=1e-9)
        assert sizes.level[name] == pytest.approx(level, rel=1e-9)
        share = row["minimum_effect"] * (level if row["minimum_effect_kind"] == "relative" else 1)
        wanted = 2 * variance * (factor(alpha, power) / share) ** 2
        assert sizes.units_per_arm[name] == np.ceil(wanted)
        units = 800 if name != "clusters" else 20_000
        seen = factor(alpha, power) * np.sqrt(4 * variance / units)
        assert effects.detectable_effect[name] == pytest.approx(seen, rel=1e-7)
        assert effects.relative_detectable_effect[name] == pytest.approx(seen / level, rel=1e-7)
    assert pd.isna(sizes.units_per_arm["new"])
    assert "new" not in effects.index


def test_an_experiment_without_history_takes_that_of_its_like(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    y = np.random.default_rng(6).normal(20, 6, 400)
    like = {"model_id": "shop"}
    experiments = [
        experiment("large", **like),
        experiment("small", **like),
        experiment("new", **like),
        experiment("long", window_days=14, **like),
        experiment("other", unit_type="entity", **like),
        experiment("elsewhere"),
    ]
    histories = [
        moments("large", "control", y, None, 1),
        moments("small", "control", y[:40], None, 1),
    ]
    sizes = answers(
        warehouse, compiled["sample_size"], experiments=experiments, histories=histories
    )
    taken = sizes.history_experiment_id.dropna().to_dict()
    assert taken == {"large": "large", "small": "small", "new": "large"}


def test_history_that_does_not_vary_says_nothing(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    d = np.random.default_rng(7).uniform(1, 3, 400)
    given = {
        "experiments": [experiment(name) for name in ("constant", "zero", "share")],
        "histories": [
            moments("constant", "control", np.full(400, 0.1), None, 1),
            moments("zero", "control", np.zeros(400), None, 1),
            # Wholly explained by the denominator, but for rounding.
            moments("share", "control", 2.7 * d, d, 1),
        ],
    }
    sizes = answers(warehouse, compiled["sample_size"], **given)
    effects = answers(warehouse, compiled["minimum_detectable_effect"], **given)
    assert sizes.units_per_arm.isna().all()
    assert effects.detectable_effect.isna().all()
    assert effects.level.to_dict() == pytest.approx({"constant": 0.1, "zero": 0, "share": 2.7})


def test_history_is_read_by_the_totals_that_decide(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection
) -> None:
    y = np.random.default_rng(8).lognormal(3, 1, 400)
    capped = np.minimum(y, np.quantile(y, 0.9))
    given = {
        "experiments": [
            experiment("raw", decided_on=None),
            experiment("capped", decided_on="capped"),
            experiment("never_capped", decided_on="capped"),
            experiment("capped_at_zero", decided_on="capped"),
        ],
        "histories": [
            moments("raw", "control", y, None, 1),
            moments("raw", "control", capped, None, 1, totals="capped"),
            moments("capped", "control", y, None, 1),
            moments("capped", "control", capped, None, 1, totals="capped"),
            moments("never_capped", "control", y, None, 1),
            moments("capped_at_zero", "control", y, None, 1),
            moments("capped_at_zero", "control", 0 * y, None, 1, totals="capped", cap=0),
        ],
    }
    for query in ("sample_size", "minimum_detectable_effect"):
        found = answers(warehouse, compiled[query], **given)
        assert found.index.is_unique
        assert found.variance.to_dict() == pytest.approx(
            {
                "raw": y.var(ddof=1),
                "capped": capped.var(ddof=1),
                "never_capped": y.var(ddof=1),
                "capped_at_zero": y.var(ddof=1),
            }
        )


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.02425, 0.1, 0.5, 0.8, 0.97575, 0.99, 0.999999])
def test_quantiles_of_the_normal(
    compiled: dict[str, str], warehouse: duckdb.DuckDBPyConnection, share: float
) -> None:
    given = {
        "experiments": [experiment("one", alpha=1 - 1e-12, power=share, expected_units=4)],
        "histories": [moments("one", "control", np.array([0.0, 0.0, 2.0, 2.0]) + 1, None, 1)],
    }
    effects = answers(warehouse, compiled["minimum_detectable_effect"], **given)
    found = effects.detectable_effect["one"] / np.sqrt(4 / 3)
    assert found == pytest.approx(NORMAL.inv_cdf(share), rel=2e-9, abs=2e-9)
