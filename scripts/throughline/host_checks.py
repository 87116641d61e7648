"""Checks of a host before dbt runs: what its dbt_project.yml must say, and what it maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from throughline import project, seeds, warehouse
from throughline.findings import Finding, UserError
from throughline.host import Host
from throughline.places import check_folders
from throughline.project import PACKAGE, PROJECT_FILE
from throughline.seeds import Row, SeedFile

FLAG = "require_ref_searches_node_package_before_root"
BLOCK = f"""\
# {PROJECT_FILE}
flags:
  # your models keep their names, whatever ours are called
  {FLAG}: true
dispatch:
  - macro_namespace: dbt
    search_order: [{{host}}, {PACKAGE}, dbt]
vars:
  {PACKAGE}:
    # your models that hold the raw tables, and those that hold the governed ones
    sources:
      prediction_logs: "ref('my_predictions')"
    governed:
      model_registry: "ref('my_model_registry')"
"""


def block(root: Mapping[str, Any]) -> str:
    """What belongs into the dbt_project.yml of a host, which this describes."""
    return BLOCK.format(host=root.get("name", "my_project")).rstrip()


def check(host: Host, *, is_full: bool) -> list[Finding]:
    """What stops or bends a build in a host; with `is_full` also the cards and the tables."""
    findings = [*check_versions(host), *check_folders(host)]
    findings += check_described(project.described(host.project))
    try:
        _ = host.told
        if is_full:
            findings += [*check_cards(host), *check_mapped(host)]
    except UserError as error:
        findings += error.findings
    return findings


def check_versions(
    host: Host, *, installed: Callable[[str], str] = metadata.version
) -> Iterator[Finding]:
    """The installed packages against those that the command line needs, and against the models."""
    for line in metadata.requires(PACKAGE) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                found = installed(requirement.name)
            except metadata.PackageNotFoundError:
                found = ""
            if not found or not requirement.specifier.contains(found, prereleases=True):
                is_it = f"is {found}" if found else "is not installed"
                what = f"{requirement.name} {is_it}, needed is {requirement.specifier}"
                fix = f'pip install "{requirement.name}{requirement.specifier}"'
                yield Finding("error", what, "versions", fix)
    ours, models = installed(PACKAGE), project.described(host.package).get("version")
    if ours != models:
        what = f"the command line is {ours}, the dbt package is {models}"
        fix = f"Install both of one version: pip install {PACKAGE}=={models}"
        yield Finding("warning", what, "versions", fix)


def check_described(described: Mapping[str, Any]) -> Iterator[Finding]:
    """The lines of dbt_project.yml without which models of ours are not what they should be."""
    if not (described.get("flags") or {}).get(FLAG):
        fix = f"Set flags: {FLAG}: true."
        yield Finding("error", "a model of yours may take the place of ours", PROJECT_FILE, fix)
    if described.get("profile") == PACKAGE:
        what = f"a profile called {PACKAGE} is that of our own project"
        fix = "Call it otherwise, here and in profiles.yml."
        yield Finding("error", what, f"{PROJECT_FILE}: profile", fix)
    for place in disabled((described.get("metrics") or {}).get(PACKAGE), f"metrics: {PACKAGE}"):
        fix = f"Take it out; metrics that you do without: vars: {PACKAGE}: metrics_off."
        what = "saved queries and exposures of ours name the metric, so dbt could read none"
        yield Finding("error", what, f"{PROJECT_FILE}: {place}", fix)
    name = described.get("name")
    orders = [
        entry.get("search_order") or []
        for entry in described.get("dispatch") or ()
        if entry.get("macro_namespace") == "dbt"
    ]
    if not any(PACKAGE in order for order in orders):
        order = f"[{name}, {PACKAGE}, dbt]"
        fix = f"Add to dispatch: {{macro_namespace: dbt, search_order: {order}}}."
        yield Finding("error", "dbt does not find our macros of warehouses", PROJECT_FILE, fix)


def disabled(described: object, place: str) -> Iterator[str]:
    """Where a block of dbt_project.yml, and those within it, say `+enabled: false`."""
    for key, within in described.items() if isinstance(described, Mapping) else ():
        if key in ("+enabled", "enabled") and within is False:
            yield place
        yield from disabled(within, f"{place}: {key}")


def check_cards(host: Host) -> list[Finding]:
    """Faults of metric cards, ours and the host's."""
    return [Finding(**problem) for problem in host.told["problems"]]


def check_mapped(host: Host) -> Iterator[Finding]:
    """Mapped tables that are not in the warehouse: a build makes models, and sources must exist."""
    with warehouse.connect(host) as found:
        missing = [
            entry
            for entry in host.told["mapped"]
            if not found.holds(entry["schema"], entry["identifier"])
        ]
    unbuilt = [entry["text"] for entry in missing if entry["text"].lstrip().startswith("ref")]
    if unbuilt:
        what = f"not built yet: {', '.join(unbuilt)}"
        yield Finding("note", what, f"vars: {PACKAGE}", "throughline build makes them.")
    for entry in missing:
        if entry["text"] not in unbuilt:
            what = f"{entry['text']} is not in the warehouse"
            where = f"vars: {PACKAGE}: {entry['setting']}"
            place = f"{entry['schema']}.{entry['identifier']}"
            yield Finding("error", what, where, f"Deliver {place}, or correct the source.")


def governed_rows(host: Host) -> dict[str, SeedFile]:
    """The governed tables by name, as the last build has them; raises UserError.

    A row is named by its key. A mapped table that is not built says nothing.
    """
    files = {}
    with warehouse.connect(host) as found:
        for name, spec in seeds.read_specs(host.package).items():
            mapped = host.settings["governed"].get(name)
            is_built = mapped is None or found.has("config", f"cfg_{name}")
            read = found.texts("config", f"cfg_{name}", spec.header) if mapped and is_built else []
            rows = tuple(
                Row(number, values, " ".join(values[column] for column in spec.key) or "no key")
                for number, values in enumerate(read, start=1)
            )
            files[name] = SeedFile(name, mapped or name, rows, is_whole=is_built)
    return files
