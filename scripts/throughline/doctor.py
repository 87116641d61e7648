"""Checks of a workspace before dbt runs: versions, settings, seeds and raw files.

Each check returns findings that name the place and the fix.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from throughline import dbt_process, host_checks, input_checks, seeds
from throughline.files import read_env
from throughline.findings import Finding, UserError, did_you_mean
from throughline.host import Host
from throughline.input_checks import Seen
from throughline.places import check_folders, lock_fault
from throughline.seeds import Seed, SeedFile
from throughline.settings import DEFAULTS
from throughline.workspace import VARIABLES, Workspace

PINNED = ("dbt-core", "dbt-duckdb", "dbt-metricflow", "duckdb")


@dataclass(frozen=True)
class Report:
    """What the doctor found, errors first, and the raw tables that it could read."""

    findings: list[Finding]
    tables: list[Seen]


def check(workspace: Workspace) -> Report:
    """What stops or bends a build, as far as it is found in a moment, without dbt.

    Raw tables of another warehouse than DuckDB are not looked at.
    """
    if isinstance(workspace, Host):
        return _report(host_checks.check(workspace, is_full=False), [])
    return _report(*_quick(workspace, is_full=False))


def check_all(workspace: Workspace) -> Report:
    """As `check`, with records counted again, the rules that dbt renders, and rows judged by them.

    Rows are judged once nothing else stops a build.
    """
    if isinstance(workspace, Host):
        found = host_checks.check(workspace, is_full=True)
        if not any(finding.severity == "error" for finding in found):
            found += check_governed(workspace)
        return _report(found, [])
    findings, tables = _quick(workspace, is_full=True)
    try:
        with dbt_process.scratch(workspace) as variables:
            findings += check_metrics(workspace, variables=variables)
            if tables and not any(finding.severity == "error" for finding in findings):
                judged = input_checks.check_delivered(workspace, tables, variables=variables)
                # said again, with their reasons
                findings = [finding for finding in findings if finding.severity != "note"] + judged
    except UserError as error:
        findings += error.findings
    return _report(findings, tables)


def _quick(workspace: Workspace, *, is_full: bool) -> tuple[list[Finding], list[Seen]]:
    findings = check_versions(workspace.project) + check_folders(workspace)
    try:
        settings = workspace.settings
    except UserError as error:
        return findings + list(error.findings), []
    findings += check_env(workspace)
    files, seed_findings = check_seeds(workspace)
    findings += seed_findings
    if workspace.kind != "duckdb":
        return findings, []
    locked = lock_fault(workspace)
    findings += [replace(locked, severity="warning")] if locked else []
    faults, tables = input_checks.check_inputs(
        workspace, settings=settings, files=files, is_full=is_full
    )
    return findings + faults, tables


def _report(findings: Iterable[Finding], tables: list[Seen]) -> Report:
    order = ("error", "warning", "note")
    once = dict.fromkeys(findings)
    return Report(sorted(once, key=lambda finding: order.index(finding.severity)), tables)


def check_metrics(workspace: Workspace, *, variables: Mapping[str, str]) -> list[Finding]:
    """Every fault of the metrics, their targets, links and rules, errors first.

    dbt reads the metric definitions and renders the rules that need both them and the seeds, so
    that each rule is written once; raises UserError where dbt cannot read the project.
    `variables` are those of a scratch.
    """
    files, findings = check_seeds(workspace)
    specs = seeds.read_specs(workspace.project)
    findings += check_rules(workspace, files, specs, variables=variables)
    return sorted(findings, key=lambda finding: finding.severity)


def check_governed(host: Host) -> list[Finding]:
    """Faults of the rows of a host's governed tables, as the last build has them."""
    try:
        files, specs = host_checks.governed_rows(host), seeds.read_specs(host.package)
        findings = [
            fault for name, file in files.items() for fault in seeds.check_values(file, specs[name])
        ]
        findings += seeds.check_references(
            files,
            specs,
            reporting_currency=host.settings["reporting_currency"],
            known={
                "metric": host.told["metrics"],
                "segment": {*host.settings["segments"], *DEFAULTS["segments"]},
            },
        )
        # DuckDB reads the rules, so a host on a server has them written in its SQL
        with dbt_process.scratch(host) as scratch:
            variables = dbt_process.environment(host) if host.kind == "duckdb" else scratch
            return findings + check_rules(host, files, specs, variables=variables)
    except UserError as error:
        return list(error.findings)


def check_rules(
    workspace: Workspace,
    files: Mapping[str, SeedFile],
    specs: Mapping[str, Seed],
    *,
    variables: Mapping[str, str],
) -> list[Finding]:
    """Faults of the metric cards, and of governed rows by the rules that dbt renders."""
    conditions = {
        condition.strip() for condition in seeds.values_of(files["alert_rules"], "condition")
    }
    rules = _read_rules(workspace, conditions=sorted(conditions), variables=variables)
    findings = [Finding(**problem) for problem in rules["problems"]]
    for rule in rules["rules"]:
        findings += seeds.failing(files, specs, **rule)
    return findings


def _read_rules(
    workspace: Workspace, *, conditions: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """What the macro `print_rules` says: {"problems": [...], "rules": [...]}; raises UserError.

    `conditions` are those of the alert rules, `variables` those of a scratch.
    """
    given = {"conditions": list(conditions)}
    return dbt_process.operation(workspace, "print_rules", given, variables=variables)


# Versions and folder


def check_versions(
    project: Path,
    *,
    python: tuple[int, int] = sys.version_info[:2],
    installed: Callable[[str], str] = version,
) -> list[Finding]:
    """The running Python and the installed packages against the pins."""
    findings = []
    if not (3, 10) <= python <= (3, 13):
        what = "Python {}.{} is not supported".format(*python)
        fix = "Use Python 3.10 to 3.13: make clean setup PYTHON=python3.12"
        findings.append(Finding("error", what, "versions", fix))
    pins = {}
    for line in (project / "requirements.txt").read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    for name in PINNED:
        findings += _version_findings(name, pinned=pins[name], installed=installed)
    return findings


def _version_findings(name: str, *, pinned: str, installed: Callable[[str], str]) -> list[Finding]:
    fix = "Install the pinned versions: make setup"
    try:
        found = installed(name)
    except PackageNotFoundError:
        return [Finding("error", f"{name} is not installed", "versions", fix)]
    if found == pinned:
        return []
    is_near = found.split(".")[:2] == pinned.split(".")[:2]
    what = f"{name} is {found}, pinned is {pinned}"
    return [Finding("warning" if is_near else "error", what, "versions", fix)]


def check_env(workspace: Workspace) -> list[Finding]:
    """Plain dbt reads .env, which may be older than vars.yml."""
    written = read_env(workspace.project / ".env")
    if written.get(VARIABLES[0]) != workspace.relative:
        return []
    if all(written.get(name) == value for name, value in workspace.environment().items()):
        return []
    fix = "Plain dbt would use the old ones: throughline use " + workspace.relative
    return [Finding("warning", "older than the settings or seeds of the workspace", ".env", fix)]


# Seeds


def check_seeds(workspace: Workspace) -> tuple[dict[str, SeedFile], list[Finding]]:
    """The seeds in force, by name, and their faults."""
    folder = workspace.project / workspace.seeds
    specs = seeds.read_specs(workspace.project)
    files: dict[str, SeedFile] = {}
    findings: list[Finding] = []
    for name, spec in specs.items():
        where = f"{workspace.seeds}/{name}.csv"
        file, faults = seeds.read_seed(folder / f"{name}.csv", where=where, header=spec.header)
        files[name] = file
        findings += faults + seeds.check_values(file, spec)
    registry = files["model_registry"]
    if registry.is_whole and not registry.rows:
        findings.append(Finding("error", "no model", registry.where, "Add a row per model."))
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in specs:
            fix = did_you_mean(path.stem, specs)
            where = f"{workspace.seeds}/{path.name}"
            findings.append(Finding("warning", "unknown seed, nothing reads it", where, fix))
    # the project's own seeds name the default segments, whatever the settings name
    segments = {*workspace.setting("segments"), *DEFAULTS["segments"]}
    findings += seeds.check_references(
        files,
        specs,
        reporting_currency=workspace.setting("reporting_currency"),
        known={"metric": metrics(workspace.project), "segment": segments},
    )
    return files, findings


def metrics(project: Path) -> set[str]:
    """The names of all metrics that the project's YAML defines."""
    names = set()
    for path in sorted((project / "models").rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if re.search("^metrics:", text, re.MULTILINE):
            names |= {metric["name"] for metric in yaml.safe_load(text)["metrics"] or ()}
        if "shape_metrics:" in text:
            models = yaml.safe_load(text)["models"]
            names.update(*(shapes_of(model) for model in models))
    return names


def shapes_of(model: Mapping[str, Any]) -> set[str]:
    """The names of the metrics that a model of dbt computes itself."""
    meta = (model.get("config") or {}).get("meta") or {}
    return set(meta.get("shape_metrics") or ())
