"""The command line: thin commands over workspace, doctor, simulate and dbt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from throughline import (
    __version__,
    boards,
    build,
    dbt_process,
    docs,
    doctor,
    host,
    host_checks,
    input_checks,
    inputs,
    metric_query,
    places,
    progress,
    project,
    publish,
    scorecard,
    seeds,
    warehouse,
    workspace,
)
from throughline.files import swap_in, writing
from throughline.findings import Finding, UserError, refuse
from throughline.workspace import Workspace

console = Console(highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's fault ends it with one line each and status 1."""
    try:
        cli.main(args=list(arguments) if arguments is not None else None, prog_name="throughline")
    except UserError as error:
        show(error.findings)
        sys.exit(1)
    except PermissionError as error:
        fix = "Change its rights or those of the folders above it, or choose another."
        show([Finding("error", f"cannot be read: {error.strerror}", str(error.filename), fix)])
        sys.exit(1)


def show(findings: Iterable[Finding]) -> None:
    for finding in findings:
        color = {"error": "red", "warning": "yellow"}.get(finding.severity)
        click.echo(f"{click.style(finding.severity, fg=color)} {finding}", err=True)


def root() -> Path:
    """The dbt project in force; raises UserError where there is none."""
    return project.find_project(click.get_current_context().find_root().params["project_dir"])


def own_root(*, instead: str) -> Path:
    """The project in force, for commands on a workspace; raises UserError in a host."""
    found = root()
    if not project.is_own(found):
        what = "your dbt project takes the place of a workspace"
        where = click.get_current_context().info_name or ""
        raise refuse(what, where=where, fix=instead)
    return found


def chosen() -> Workspace:
    """The workspace in force, or the host; raises UserError where there is none."""
    found = root()
    if project.is_own(found):
        return workspace.choose(project=found, environment=os.environ)
    return host.at(found)


QUIET = click.option("--quiet", is_flag=True, help="Show no progress, as in a pipe.")


def page(*, quiet: bool) -> Console:
    """Where a command prints; it shows no progress where it is no terminal."""
    return Console(highlight=False, force_terminal=False) if quiet else console


FOLDER = click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="throughline %(version)s")
@click.option(
    "--project-dir", type=FOLDER, default=".", help="The dbt project; else the current folder's."
)
@click.option("--profiles-dir", type=FOLDER, help="Where profiles.yml is, as for dbt.")
@click.option("--profile", metavar="NAME", help="Which profile, as for dbt.")
@click.option("--target", metavar="NAME", help="Which target of the profile, as for dbt.")
@click.pass_context
def cli(
    context: click.Context,
    project_dir: Path,
    profiles_dir: Path | None,
    profile: str | None,
    target: str | None,
) -> None:
    """From raw logs of a model's decisions to governed numbers about their impact.

    \b
    A first look:    throughline simulate --out workspace
                     throughline build
    Your own data:   throughline init my_company
                     throughline use my_company
                     throughline doctor
                     throughline build
    Your project:    throughline --project-dir DIR --target NAME build

    \b
    Exit status:  0  done
                  1  a fault that is named on standard error, with its fix
                  2  the command or an option is not understood
    Of exec: that of the program it ran.
    """
    given = {"PROFILES_DIR": profiles_dir, "PROFILE": profile, "TARGET": target}
    named = {f"DBT_{name}": str(value) for name, value in given.items() if value is not None}
    context.with_resource(dbt_process.within(named))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR", required=False)
def init(folder: Path | None) -> None:
    """Make an empty workspace in DIR: raw folders, seed headers, commented settings.

    In a dbt project that installs Throughline: print what belongs into its dbt_project.yml.

    Example: throughline init ../my_company
    """
    found = root()
    if not project.is_own(found):
        click.echo(host_checks.block(project.described(found)))
        return
    if folder is None:
        raise click.UsageError("Missing argument 'DIR'.")
    headers = {name: spec.header for name, spec in seeds.read_specs(found).items()}
    with writing(folder, fix="Choose a folder that can be written."):
        made = workspace.create(folder, project=found, headers=headers)
    click.echo(f"Made {made.relative}. Next: {made.relative}/README.md")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR", required=False)
def use(folder: Path | None) -> None:
    """Choose the workspace DIR for every command and for plain dbt; without DIR: show the choice.

    Writes THROUGHLINE_* to .env and keeps its other lines. Run it again after changing vars.yml.

    Example: throughline use ../my_company
    """
    found = own_root(
        instead="Set vars: throughline: in dbt_project.yml; throughline init shows how."
    )
    if folder is None:
        current = chosen()
        click.echo(f"{current.relative} (chosen by {current.chosen_by})")
        return
    fix = f"Make its folder writable, or set {workspace.VARIABLES[0]} instead."
    with writing(Path(".env"), fix=fix):
        made = workspace.use(folder, project=found)
    click.echo(f"{made.relative} is chosen: .env is written")
    overriding = os.environ.get(workspace.VARIABLES[0])
    if overriding and overriding != made.relative:
        what = f"{workspace.VARIABLES[0]}={overriding} is set there and goes before .env"
        fix = f"unset {workspace.VARIABLES[0]}"
        show([Finding("warning", what, "environment", fix)])


@cli.command()
@click.option("--predictions", type=int, default=60_000, show_default=True)
@click.option("--days", type=int, default=120, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Workspace to fill.")
@QUIET
def simulate(predictions: int, days: int, seed: int, out: Path, quiet: bool) -> None:
    """Fill a workspace with the raw logs of an invented company; truth.json says what is planted.

    The same arguments give the same rows. A folder that holds other data is refused.

    Example: throughline simulate --predictions 1000000 --days 365 --out /tmp/company
    """
    from throughline import simulate as simulator

    found = own_root(instead="Run it in a clone of Throughline.")
    try:
        with (
            writing(out, fix="Choose a folder that can be written."),
            progress.shown(
                found / "target",
                "simulate",
                console=page(quiet=quiet),
                of=f"{predictions} over {days}",
            ) as meter,
        ):
            simulator.simulate(
                out=out, predictions=predictions, days=days, seed=seed, begin=meter.begin
            )
    except simulator.SimulationError as error:
        fix = "throughline simulate --help"
        raise refuse(str(error), where="simulate", fix=fix) from None
    click.echo(f"{out}: {predictions:,} predictions over {days} days")


@cli.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print findings and tables as JSON.")
def doctor_(as_json: bool) -> None:
    """Find all that would stop or bend a build; name each fault with its place and fix.

    Versions, settings, seeds, metric cards and raw rows. It ends with what it saw of each table.

    Exit status 1 when an error stands; warnings do not stop a build, and notes are of few rows.

    Example: throughline doctor
    """
    current = chosen()
    with console.status("looking"):
        found = doctor.check_all(current)
    errors = sum(finding.severity == "error" for finding in found.findings)
    if as_json:
        report: dict[str, Any] = {
            "workspace": current.name,
            **{f"{kind}s": count for kind, count in _by_severity(found.findings).items()},
            "findings": [asdict(finding) for finding in found.findings],
            "tables": [seen.as_record() for seen in found.tables],
        }
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        show(found.findings)
        for line in input_checks.summary(found.tables):
            click.echo(line)
        click.echo(f"{current.name}: {_counted(found.findings)}")
    sys.exit(1 if errors else 0)


def _by_severity(findings: Sequence[Finding]) -> dict[str, int]:
    kinds = ("error", "warning", "note")
    return {kind: sum(finding.severity == kind for finding in findings) for kind in kinds}


def _counted(findings: Sequence[Finding]) -> str:
    parts = _by_severity(findings).items()
    texts = [f"{number} {noun}{'s' * (number > 1)}" for noun, number in parts if number]
    return ", ".join(texts) or "all is well"


@cli.command(name="load")
def load_() -> None:
    """Bring the workspace's raw files to the active target's schema raw, where they have changed.

    DuckDB reads the files where they are; a server such as Postgres or Spark needs them loaded.

    Example: THROUGHLINE_TARGET=postgres throughline load
    """
    from throughline import load as loader

    own_root(instead="Map your models by vars: throughline: sources: in dbt_project.yml.")
    current = chosen()
    if current.kind == "duckdb":
        click.echo("Nothing to load: DuckDB reads the raw files where they are.")
        return
    show(inputs.files_left(current))
    with warehouse.sole_writer(current), console.status("loading"):
        for loaded in loader.load(current):
            rows = "unchanged" if loaded.rows is None else f"{loaded.rows:,} rows"
            click.echo(f"raw.{loaded.table}: {rows}")


@cli.command(name="build", context_settings={"ignore_unknown_options": False})
@click.option("--full-refresh", is_flag=True, help="Rebuild everything from the raw rows.")
@click.option(
    "--as-of", metavar="MOMENT", help="Replay a moment of the past, in schemas of its own."
)
@click.option("--no-tests", is_flag=True, help="Build without data tests.")
@click.option("--no-publish", is_flag=True, help="Leave the copy for readers as it is.")
@click.option("--verbose", is_flag=True, help="Show dbt's own output.")
@QUIET
@click.argument("dbt_arguments", nargs=-1, metavar="[-- DBT ARGUMENTS]")
def build_(
    full_refresh: bool,
    as_of: str | None,
    no_tests: bool,
    no_publish: bool,
    verbose: bool,
    quiet: bool,
    dbt_arguments: tuple[str, ...],
) -> None:
    """Check the workspace, build it with dbt, compute lift, publish and print the scorecard.

    Where experiments are declared: dbt build, throughline lift, and what is made from it. With
    dbt's own --select, --exclude or --selector: that part alone, without lift. A build that ends
    well publishes, as throughline publish does; one with --as-of or arguments for dbt does not.

    Only what arrived, matured or changed since the last build is computed anew. With --as-of the
    marts are built as they would have stood at that moment, with the configuration of today, in
    schemas named after it; those in force stay as they are.

    \b
    Examples: throughline build
              throughline build --no-tests
              throughline build --as-of 2026-05-01
              throughline build -- --select fct_metrics+
    """
    leading = next(filter(build.LEADING.fullmatch, dbt_arguments), None)
    if leading:
        what = f"{leading} would lead dbt alone to another warehouse, not lift and the scorecard"
        fix = "Name it before the command: throughline --target, --profile or --profiles-dir."
        raise refuse(what, where="build", fix=fix)
    out = page(quiet=quiet)
    current = chosen() if as_of is None else chosen().replaying(as_of)
    findings = doctor.check(current).findings
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors and current.is_in_file and (locked := places.lock_fault(current)):
        errors.append(locked)
    if errors:
        show(errors)
        sys.exit(1)
    show(finding for finding in findings if finding.severity == "warning")
    notes = [finding for finding in findings if finding.severity == "note"]
    if notes:
        fix = "See them: throughline doctor"
        show([Finding("note", _counted(notes), current.name, fix)])
    named = {argument.split("=")[0] for argument in dbt_arguments}
    is_whole = build.SELECTING.isdisjoint(named)
    arguments = [
        *(["--full-refresh"] if full_refresh else []),
        *build.left_out(current, no_tests=no_tests, given=dbt_arguments),
        *dbt_arguments,
    ]
    parts = build.parts(current) if is_whole else [()]
    with warehouse.sole_writer(current):
        for number, part in enumerate(parts):
            if number:
                # Most builds and commands do without numpy and scipy.
                from throughline.lift import command

                click.echo(f"lift: {command.summary(current, console=out)}")
            given = [*part, *arguments]
            faults = build.run(current, arguments=given, console=out, is_verbose=verbose)
            if faults:
                show(faults)
                sys.exit(1)
    file = None
    if current.is_in_file and not (no_publish or as_of):
        if dbt_arguments:
            click.echo("publish: left as it was, since dbt had arguments: throughline publish")
        else:
            file = publish_to_readers(current, out=out)
    scorecard.show(current, console=out, is_built=not dbt_arguments, file=file)


def publish_to_readers(current: Workspace, *, out: Console) -> Path:
    with progress.shown(current.artefacts, "publish", console=out) as meter:
        made = publish.publish(current, begin=meter.begin)
    click.echo(f"publish: {made}")
    return made.path


@cli.command(name="publish")
@QUIET
def publish_(quiet: bool) -> None:
    """Copy what readers read into published/throughline.duckdb of the workspace, in one step.

    The tables of public models, with their comments. throughline build ends with it; after plain
    dbt build it is for you to run. Who has the copy before this one open reads on in that.

    On Postgres and Spark readers read the schema of the marts, and nothing is copied.

    Example: throughline publish
    """
    current = chosen()
    if not current.is_in_file:
        marts, _ = current.place("marts", "mart_scorecard")
        schema = f"schema {marts} of target {current.target}"
        click.echo(f"Nothing to publish: readers read {schema}.")
        return
    publish_to_readers(current, out=page(quiet=quiet))


@cli.command(name="lift")
@click.option("--json", "as_json", is_flag=True, help="Print every row over all units as JSON.")
@click.option(
    "--explain",
    nargs=2,
    metavar="EXPERIMENT METRIC",
    help="Print the arithmetic of the deciding estimate instead; nothing is written.",
)
@click.option(
    "--aa", metavar="METRIC", help="Check the metric on random halves instead; nothing is written."
)
@click.option("--experiment", metavar="ID", help="Whose units --aa takes; else those with most.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Error rate that --aa asks for.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=100),
    default=2_000,
    show_default=True,
    help="Random halves that --aa takes.",
)
@click.option("--as-of", metavar="MOMENT", help="Of a replay that was built for this moment.")
@QUIET
def lift_(
    as_json: bool,
    explain: tuple[str, str] | None,
    aa: str | None,
    experiment: str | None,
    alpha: float,
    draws: int,
    as_of: str | None,
    quiet: bool,
) -> None:
    """Compute what each experiment changed and write it to the warehouse, with what to do.

    It reads the moments of the last build. A run replaces the rows of its day; other days stay.
    throughline build runs it too, with the marts that are made from it.

    \b
    Examples: throughline lift
              throughline lift --explain offer_ranking_reasons conversion_rate
              throughline lift --aa conversion_rate
    """
    # Most commands do without numpy and scipy.
    from throughline.lift import command

    forms = {"--json": as_json, "--explain": explain, "--aa": aa}
    given = [name for name, value in forms.items() if value]
    if len(given) > 1:
        what, fix = "one of them at a time can be printed", "Leave out all but one."
        raise refuse(what, where=" ".join(given), fix=fix)
    current = chosen() if as_of is None else chosen().replaying(as_of)
    if explain:
        lines = command.explained(current, *explain)
    elif aa:
        lines = command.checked(
            current, metric=aa, experiment_id=experiment, alpha=alpha, draws=draws
        )
    else:
        with warehouse.sole_writer(current):
            command.refresh(current, console=page(quiet=quiet), as_json=as_json)
        return
    for line in lines:
        click.echo(line)


@cli.command(name="sql")
@click.argument("metric")
@click.option(
    "--model",
    "model_id",
    metavar="ID",
    help="Of one model, as an AUC must be; else of all together.",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last of the 28 days; else the last complete one.",
)
def sql_(metric: str, model_id: str | None, until: datetime | None) -> None:
    """Print the plain query of one number: from the facts of METRIC to its value over 28 days.

    It is for reading: the waist computes the same of every metric, day and segment at once.

    Example: throughline sql conversion_rate --model lead_scoring
    """
    current = chosen()
    last_date = until.date() if until else metric_query.last_complete_day(current)
    asked = metric_query.queries(current, metrics=[metric], model_id=model_id, last_date=last_date)
    click.echo(asked[metric])


@cli.command(name="docs")
@click.option("--boards-url", metavar="URL", help="Where the boards that exposures name are read.")
@click.option("--mail-domain", metavar="DOMAIN", help="Where the owners of exposures get mail.")
@QUIET
def docs_(boards_url: str | None, mail_domain: str | None, quiet: bool) -> None:
    """Write the documentation of all tables, columns and metrics into one page, with lineage.

    \b
    Examples: throughline docs
              throughline docs --boards-url https://bi.acme.io/ml --mail-domain acme.io
    """
    current = chosen()
    given = {"boards_url": boards_url, "mail_domain": mail_domain}
    addresses = {name: text.rstrip("/") for name, text in given.items() if text}
    with progress.shown(current.artefacts, "docs", console=page(quiet=quiet)) as meter:
        meter.begin("dbt docs generate")
        made = docs.generate(current, addresses=addresses)
    click.echo(f"Open {current.shown(made)} in a browser.")


@cli.command(name="boards")
@click.option("--no-pdf", is_flag=True, help="Leave out the pages to print.")
@click.option("--serve", is_flag=True, help="Serve them with filters instead, until stopped.")
@click.option("--port", type=click.IntRange(1, 65535), default=8585, show_default=True)
@QUIET
def boards_(no_pdf: bool, serve: bool, port: int, quiet: bool) -> None:
    """Draw the boards: pages over the published marts, in boards/ of the workspace.

    One overview, one of alerts and goals, and one for each model, experiment and metric; for a wide
    and a narrow screen, light and dark, and to print. They need dbt Charts, which make boards
    installs into an environment of its own.

    \b
    Examples: throughline boards
              throughline boards --serve
    """
    current = chosen()
    if serve:
        sys.exit(boards.serve(current, port=port))
    with progress.shown(current.artefacts, "boards", console=page(quiet=quiet)) as meter:
        made = boards.render(current, with_pdf=not no_pdf, begin=meter.begin)
    click.echo(f"boards: {made}")
    click.echo(f"Open {current.shown(made.folder / 'index.html')} in a browser.")


@cli.group(name="export")
def export_() -> None:
    """Write what other tools read: assets for Superset, a semantic model, a catalogue.

    \b
    Examples: throughline export superset
              throughline export osi --out metrics.osi.json
    """


def out_option(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option that says where an export is written; without it: `name` beside dbt's files."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"The file; else {name} in the folder that dbt writes into.",
    )


def write_export(current: Workspace, content: str | bytes, *, out: Path | None, name: str) -> None:
    """Puts an export in its place and says where that is."""
    path = out or current.artefacts / name
    with writing(path, fix="Choose a folder that can be written: --out FILE"):
        swap_in(path, content)
    click.echo(f"Wrote {current.shown(path.resolve()) if out is None else path}.")


@export_.command(name="superset")
@click.option(
    "--uri", metavar="URI", help="How Superset reaches the marts; else the published file."
)
@click.option(
    "--name", metavar="NAME", help="Of the database and dashboard there; else Throughline."
)
@out_option("superset.zip")
def export_superset(uri: str | None, name: str | None, out: Path | None) -> None:
    """Write the marts as datasets of Superset, with the metrics of the cards and a dashboard.

    POST the archive to /api/v1/assets/import/ there. A later one replaces what this one brought.

    \b
    Examples: throughline export superset
              throughline export superset --uri postgresql+psycopg2://bi_reader@db/analytics
    """
    from throughline.exports import superset

    current = chosen()
    content = superset.export(current, name=name or superset.NAME, uri=uri)
    write_export(current, content, out=out, name="superset.zip")


@export_.command(name="osi")
@out_option("throughline.osi.json")
def export_osi(out: Path | None) -> None:
    """Write the metrics as a document of Open Semantic Interchange, for tools that read it.

    It is dbt's own, in which a division by zero gives NULL, each column names its dataset, and
    extensions say owner, unit, tier, direction, reason and next step.

    Example: throughline export osi --out metrics.osi.json
    """
    # Most commands do without sqlglot.
    from throughline.exports import osi

    current = chosen()
    write_export(current, osi.export(current), out=out, name="throughline.osi.json")


@export_.command(name="datahub")
@out_option("throughline.datahub.json")
def export_datahub(out: Path | None) -> None:
    """Write metrics as terms and published tables with their owners, for datahub ingest.

    Its recipe has a source of type file with this path.

    Example: throughline export datahub --out throughline.datahub.json
    """
    from throughline.exports import datahub

    current = chosen()
    write_export(current, datahub.export(current), out=out, name="throughline.datahub.json")


@cli.command(
    name="exec", context_settings={"ignore_unknown_options": True, "help_option_names": []}
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def exec_(command: tuple[str, ...]) -> None:
    """Run a command of the environment, such as dbt or mf, on the chosen workspace.

    Example: throughline exec -- mf query --metrics precision --group-by metric_time__month
    """
    current = chosen()
    try:
        finished = subprocess.run(
            [dbt_process.program(command[0]), *command[1:]],
            cwd=current.project,
            env=dbt_process.environment(current),
            check=False,
        )
    except OSError:
        fix = "Run make setup, or name another."
        raise refuse("no such program", where=command[0], fix=fix) from None
    sys.exit(finished.returncode)


@cli.command(name="alerts")
@click.option("--tier", type=click.Choice(["technical", "experience", "business"]))
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one object.")
@click.option("--as-of", metavar="MOMENT", help="Of a replay that was built for this moment.")
@click.option("--notify", "url", metavar="URL", help="Post what this endpoint was not told yet.")
@click.option("--slack", "is_slack", is_flag=True, help="Post in the form that Slack reads.")
def alerts_(
    tier: str | None, as_json: bool, as_of: str | None, url: str | None, is_slack: bool
) -> None:
    """Print the open alerts of the last build: since when, why, whose they are, what to do.

    It reads the published marts, else those of the warehouse. Alerts of one cause are one problem.

    With --notify each new state of a problem is posted, at least once, with a key by which the
    receiver drops repeats: in the body and as the header Idempotency-Key. What was told is noted
    in notices/alerts.jsonl of the workspace.

    \b
    Examples: throughline alerts --tier technical
              throughline alerts --notify https://hooks.example.com/T0 --slack
    """
    # Most commands post nothing.
    from throughline import alerts

    if url is not None and as_of is not None:
        fix = "Leave out one of them."
        raise refuse("a replay is told to nobody", where="--notify --as-of", fix=fix)
    if is_slack and url is None:
        fix = "Name the endpoint: --notify URL."
        raise refuse("nothing is posted", where="--slack", fix=fix)
    current = chosen() if as_of is None else chosen().replaying(as_of)
    found = alerts.of_last_build(current)
    show(publish.notes(current))
    if tier is not None:
        found = found.of(tier)
    if as_json:
        click.echo(found.as_json())
    else:
        for line in alerts.text(found):
            console.print(line, soft_wrap=True)
    if url is not None:
        sent = alerts.notify(current, found, url=url, is_slack=is_slack)
        click.echo(f"{sent} notice{'s' * (sent != 1)} sent", err=True)


@cli.command(name="scorecard")
@click.option("--model", "model_id", metavar="ID", help="Of one model alone.")
@click.option("--all", "is_all", is_flag=True, help="Print every metric and next step.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one object.")
@click.option("--as-of", metavar="MOMENT", help="Of a replay that was built for this moment.")
def scorecard_(model_id: str | None, is_all: bool, as_json: bool, as_of: str | None) -> None:
    """Print what the last build says of each model: money, metrics, experiments, next steps.

    It reads the published marts, else those of the warehouse, and builds nothing. Of each model
    it shows at most eight metrics: headlines and those with a target, what needs a hand first.

    \b
    Examples: throughline scorecard --model lead_scoring --all
              throughline scorecard --json
    """
    current = chosen() if as_of is None else chosen().replaying(as_of)
    found = scorecard.of_last_build(current)
    show(publish.notes(current))
    if model_id is not None:
        found = found.of(model_id)
    if as_json:
        click.echo(found.as_json())
    else:
        scorecard.print_card(found, console=console, is_all=is_all)
