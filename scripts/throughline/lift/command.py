"""The command `throughline lift`: what it does with each of its options."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import Console

from throughline import progress
from throughline.findings import did_you_mean, refuse
from throughline.lift import aa, run, show
from throughline.lift.explain import explain
from throughline.lift.moments import MomentsError
from throughline.workspace import Workspace

NO_UNITS = "No experiment has units yet: nothing to compute."


def refresh(workspace: Workspace, *, console: Console, as_json: bool = False) -> bool:
    """Computes, writes and prints lift; False where no experiment has units. Raises UserError."""
    with progress.shown(workspace.artefacts, "lift", console=console) as meter:
        refreshed = run.refresh(workspace, begin=meter.begin)
    if as_json:
        click.echo(show.as_json(*refreshed) if refreshed else '{"experiments": []}')
    elif refreshed is None:
        click.echo(NO_UNITS)
    else:
        if not console.is_terminal:
            console = Console(file=console.file, width=show.WIDTH, highlight=False)
        for table, decisions in show.tables(*refreshed):
            console.print(table)
            for line in decisions:
                console.print(line, soft_wrap=True)
            console.print()
    return refreshed is not None


def summary(workspace: Workspace, *, console: Console) -> str:
    """Computes and writes lift; the decisions on one line. Raises UserError."""
    with progress.shown(workspace.artefacts, "lift", console=console) as meter:
        refreshed = run.refresh(workspace, begin=meter.begin)
    if refreshed is None:
        return NO_UNITS
    _, results = refreshed
    made = [f"{row.experiment_id} {row.variant} {row.decision}" for row in results.decisions]
    return f"{len(results.estimates['metric']):,} estimates; {', '.join(made)}"


def explained(workspace: Workspace, experiment_id: str, metric: str) -> Iterator[str]:
    """The arithmetic of the deciding estimates of a metric; raises UserError."""
    inputs = run.inspect(workspace)
    if inputs is None:
        yield NO_UNITS
        return
    plans = {plan.experiment_id: plan for plan in inputs.experiments}
    if experiment_id not in plans:
        fix = did_you_mean(experiment_id, plans)
        raise refuse(
            f"no experiment with units is named {experiment_id}", where="--explain", fix=fix
        )
    of_plan = inputs.moments["experiment_id"] == experiment_id
    names = sorted(set(inputs.moments["metric"][of_plan].tolist()))
    if metric not in names:
        fix = did_you_mean(metric, names)
        raise refuse(f"{experiment_id} has no metric {metric}", where="--explain", fix=fix)
    blocks = explain(
        inputs.moments,
        plan=plans[experiment_id],
        metric=metric,
        experiments=inputs.experiments,
        metrics=inputs.metrics,
        masked=inputs.masked,
        looks_read=inputs.looks_read,
    )
    with run.fitting():
        for number, lines in enumerate(blocks):
            yield from [*([""] if number else []), *lines]


def checked(
    workspace: Workspace, *, metric: str, experiment_id: str | None, alpha: float, draws: int
) -> Iterator[str]:
    """The A/A check of a metric on the units of an experiment; raises UserError."""
    buckets = run.buckets(workspace)
    try:
        for result in aa.check(
            buckets, metric=metric, experiment_id=experiment_id, alpha=alpha, draws=draws
        ):
            yield from aa.report(result)
    except MomentsError as error:
        fix = "Choose a metric and an experiment that throughline lift shows."
        raise refuse(str(error), where="--aa", fix=fix) from None
