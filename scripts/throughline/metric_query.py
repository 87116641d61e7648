"""The plain query of one number of a metric, from its facts to its value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone

from throughline import dbt_process, doctor, seeds
from throughline.findings import did_you_mean, refuse
from throughline.workspace import Workspace

WINDOW_DAYS = 28


def last_complete_day(workspace: Workspace) -> date:
    """The day before the one of `as_of` (UTC)."""
    moment = workspace.settings.get("as_of")
    now = datetime.fromisoformat(moment) if moment else datetime.now(timezone.utc)
    return now.date() - timedelta(days=1)


def queries(
    workspace: Workspace, *, metrics: Sequence[str], model_id: str | None, last_date: date
) -> dict[str, str]:
    """The query of each metric over the 28 days that end with a day, in the words of the target.

    Args:
        metrics: by name; all of them if empty.
        model_id: a governed model; all models together if None, but for shapes that are computed.
        last_date: the last of the days (UTC).

    Raises UserError where a name is unknown, or dbt cannot read the project.
    """
    if model_id is not None and not workspace.is_host:
        files, _ = doctor.check_seeds(workspace)
        models = sorted(seeds.values_of(files["model_registry"], "model_id"))
        if model_id not in models:
            what, fix = f"no governed model '{model_id}'", did_you_mean(model_id, models)
            raise refuse(what, where=f"{workspace.seeds}/model_registry.csv", fix=fix)
    first_date = last_date - timedelta(days=WINDOW_DAYS - 1)
    asked = {
        "names": list(metrics),
        "model_id": model_id,
        "first_date": first_date.isoformat(),
        "last_date": last_date.isoformat(),
    }
    said = dbt_process.operation(
        workspace, "print_metric_queries", asked, variables=dbt_process.environment(workspace)
    )
    for name in metrics:
        if name not in said["metrics"]:
            fix = did_you_mean(name, sorted(said["metrics"]))
            raise refuse(f"no metric '{name}'", where="models/metrics/_metrics.yml", fix=fix)
        if name in said["of_one_model"] and model_id is None:
            what = f"{name} is told of one model alone: models do not add up"
            raise refuse(what, where="models/metrics/_metrics.yml", fix="Name one with --model.")
        if name not in said["queries"]:
            what = f"{name} is neither one brick nor one divided by another: it has no plain query"
            fix = "Read the formula that mart_metric_catalog has of it."
            raise refuse(what, where="models/metrics/_metrics.yml", fix=fix)
    return {name: query.strip() for name, query in said["queries"].items()}
