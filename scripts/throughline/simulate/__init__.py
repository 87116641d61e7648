"""A simulated company: raw logs of four models, and the truth that was planted in them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from throughline.progress import Begin, ignored

SCRIPTS = (
    "company",
    "lead_scoring",
    "fraud_detection",
    "next_best_offer",
    "demand_forecast",
    "malformed",
    "delivery",
    "truth",
)
Row = dict[str, Any]

CSV_TABLES = frozenset({"feedback", "model_releases", "kpi_annotations", "alert_actions"})
MEMORY_LIMIT = "3GB"

SETTINGS = """\
# Settings of the simulated company. Days are UTC; nothing that arrived after as_of is read.
as_of: "2026-07-01 00:00:00"
numeric_features: [company_size, days_since_contact, payment_amount]
categorical_features: [industry, merchant_category, offer_category]
"""


class SimulationError(ValueError):
    """What hinders the simulation, in one line with the way out."""


def simulate(
    *, out: Path, predictions: int, days: int, seed: int, begin: Begin = ignored
) -> dict[str, object]:
    """Write raw logs of a simulated company into a workspace and return the planted truth.

    Replaces `raw/`, `vars.yml` and `truth.json` of the folder `out` at the very end, and touches
    nothing else in it. The same arguments give the same rows.

    Args:
        out: the workspace folder; made when absent.
        predictions: decisions made by all models together, 300 to 50,000,000.
        days: length of the logs in days before `as_of`, 14 to 400.
        seed: any whole number of 64 bits.
        begin: is told each piece of work.

    Returns:
        The content of `truth.json`.

    Raises:
        SimulationError: an argument out of range, or files in `out` that are not simulated.
    """
    _require_range(name="predictions", value=predictions, low=300, high=50_000_000)
    _require_range(name="days", value=days, low=14, high=400)
    _require_range(name="seed", value=seed, low=-(2**63), high=2**63 - 1)
    _refuse_foreign_files(out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=out) as folder:
        fresh = Path(folder)
        with _company(
            folder=fresh, predictions=predictions, days=days, seed=seed, begin=begin
        ) as connection:
            written = _write_raw(connection, raw=fresh / "raw", begin=begin)
            begin("truth.json")
            truth = _truth(connection, written=written)
        truth["arguments"] = {"predictions": predictions, "days": days, "seed": seed}
        (fresh / "vars.yml").write_text(SETTINGS, encoding="utf-8")
        (fresh / "truth.json").write_text(
            json.dumps(truth, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        _swap(fresh=fresh, out=out)
    return truth


def _require_range(*, name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SimulationError(f"{name} is {value}: choose a number from {low} to {high}")


def _refuse_foreign_files(out: Path) -> None:
    """Stop unless everything that would be replaced was simulated before."""
    if out.exists() and not out.is_dir():
        raise SimulationError(f"{out} is a file: choose a folder")
    raw = out / "raw"
    delivered = {
        path.relative_to(out).as_posix()
        for path in raw.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    truth = out / "truth.json"
    if not truth.exists():
        settings = out / "vars.yml"
        if delivered:
            raise SimulationError(
                f"{raw} holds files that were not simulated, e.g. {min(delivered)}: "
                "choose another folder, or move them away"
            )
        if settings.exists() and _has_settings(settings):
            raise SimulationError(
                f"{settings} holds settings that were not simulated: "
                "choose another folder, or move the file away"
            )
        return
    try:
        known = set(json.loads(truth.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise SimulationError(
            f"{truth} was not written by a simulation: choose another folder, or move it away"
        ) from error
    if delivered - known:
        raise SimulationError(
            f"{out / min(delivered - known)} was not simulated: "
            "choose another folder, or move the file away"
        )


def _has_settings(path: Path) -> bool:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return any(line and not line.startswith("#") for line in lines)


@contextmanager
def _company(
    *, folder: Path, predictions: int, days: int, seed: int, begin: Begin
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in which the company exists: its own tables, and views of what it delivers."""
    connection = duckdb.connect(
        str(folder / "company.duckdb"),
        config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(folder / "spill")},
    )
    try:
        connection.execute(
            f"set TimeZone = 'UTC'; set variable seed = {seed}; "
            f"set variable predictions = {predictions}; set variable days = {days};"
        )
        for script in SCRIPTS:
            begin(script.replace("_", " "))
            source = resources.files(__name__).joinpath(f"{script}.sql")
            connection.execute(source.read_text(encoding="utf-8"))
        yield connection
    finally:
        connection.close()


def _write_raw(connection: duckdb.DuckDBPyConnection, *, raw: Path, begin: Begin) -> dict[str, int]:
    """Write every view named `<table>/<file>` as a file; rows by path relative to `raw`."""
    views = connection.execute(
        "select view_name from duckdb_views() where contains(view_name, '/') order by view_name"
    ).fetchall()
    written = {}
    for (name,) in views:
        begin(name)
        table = name.split("/")[0]
        extension = "csv" if table in CSV_TABLES else "parquet"
        # Order costs a core: only files that a person may read as a log keep it.
        is_ordered = table == "prediction_logs" or table in CSV_TABLES
        connection.execute(f"set preserve_insertion_order = {is_ordered}")
        path = raw / f"{name}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        target = str(path).replace("'", "''")
        counted = connection.execute(f"copy (from \"{name}\") to '{target}'").fetchone()
        assert counted is not None
        written[f"{name}.{extension}"] = int(counted[0])
    return written


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> list[Row]:
    cursor = connection.execute(f"select * from {relation} order by all")
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _truth(connection: duckdb.DuckDBPyConnection, *, written: dict[str, int]) -> dict[str, object]:
    """The planted truth as nested plain values; the scripts say what each number counts."""
    as_of, first_day = _rows(
        connection, "(select getvariable('as_of')::varchar, getvariable('first_day')::varchar)"
    )[0].values()
    return {
        "as_of": as_of,
        "first_day": first_day,
        "files": sorted(f"raw/{path}" for path in written),
        "raw": _raw_truth(connection, written=written),
        "models": _model_truth(connection),
        "outcomes": _keyed(_rows(connection, "truth_outcomes"), "outcome_name"),
        "costs_usd": {row["model_id"]: row["cost_usd"] for row in _rows(connection, "truth_costs")},
        "groups": {
            "model_id": "lead_scoring",
            "protected_attribute": "age_band",
            "treated_worse": "65+",
            "counts": _keyed(_rows(connection, "truth_groups"), "group_name"),
        },
        "missed_group": {
            "model_id": "lead_scoring",
            "protected_attribute": "gender",
            "missed": "not_stated",
            "counts": _keyed(_rows(connection, "truth_missed_group"), "group_name"),
        },
        "bad_threshold": _rows(connection, "truth_bad_threshold")[0],
        "forecast_errors": _keyed(_rows(connection, "forecast_errors"), "model_version"),
        "experiments": _experiment_truth(connection),
        "version_trials": _keyed(_rows(connection, "truth_version_trials"), "experiment_id"),
        "drift": _rows(connection, "truth_drift"),
        "plants": _keyed(_rows(connection, "truth_plants"), "plant"),
    }


def _raw_truth(connection: duckdb.DuckDBPyConnection, *, written: dict[str, int]) -> dict[str, Row]:
    raw = _keyed(_rows(connection, "truth_rows"), "table_name")
    for table, counts in raw.items():
        counts["delivered"] = sum(
            rows for path, rows in written.items() if path.startswith(f"{table}/")
        )
        counts["malformed"], counts["bad_cells"] = {}, {}
    for row in _rows(connection, "(select *, is_bad_cell(kind) as is_kept from truth_malformed)"):
        fate = "bad_cells" if row["is_kept"] else "malformed"
        raw[row["table_name"]][fate].setdefault(row["kind"], []).append(row["key"])
    return raw


def _model_truth(connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    models = _keyed(_rows(connection, "truth_models"), "model_id")
    for model in models.values():
        model["by_version_and_month"] = []
    for row in _rows(connection, "truth_version_months"):
        models[row.pop("model_id")]["by_version_and_month"].append(row)
    for model_id, users in _keyed(_rows(connection, "truth_adoption"), "model_id").items():
        models[model_id]["adoption"] = users
    for model_id, counts in _keyed(_rows(connection, "truth_elsewhere"), "model_id").items():
        models[model_id] |= counts
    return models


def _experiment_truth(connection: duckdb.DuckDBPyConnection) -> dict[str, Row]:
    experiments = _keyed(_rows(connection, "truth_lifts"), "experiment_id")
    for experiment in experiments.values():
        experiment["variants"] = {}
    for row in _rows(connection, "truth_variants"):
        experiments[row.pop("experiment_id")]["variants"][row.pop("variant")] = row
    return experiments


def _keyed(rows: list[Row], key: str) -> dict[str, Row]:
    return {row.pop(key): row for row in rows}


def _swap(*, fresh: Path, out: Path) -> None:
    """Put the fresh files in place of those of an earlier simulation."""
    if (out / "raw").exists():
        (out / "raw").rename(fresh / "replaced")
    for name in ("raw", "vars.yml", "truth.json"):
        (fresh / name).replace(out / name)
