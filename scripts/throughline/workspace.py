"""Workspaces: which one is chosen, how dbt learns of it, and how a new one is made.

A workspace is a folder with raw/<table>/ files, an optional seeds/ folder and an optional vars.yml.
dbt learns of it through three environment variables, which `throughline use` also writes to .env.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from throughline.contract import REQUIRED_INPUT, Table, read_contract
from throughline.files import as_json, read_env, write_env
from throughline.findings import refuse
from throughline.settings import DEFAULTS, moment_text, read_settings, vars_template

VARIABLES = ("THROUGHLINE_WORKSPACE", "THROUGHLINE_SEEDS", "THROUGHLINE_VARS")
DEFAULT_WORKSPACE = "workspace"
DEFAULT_SCHEMA = "main"


@dataclass(frozen=True)
class Workspace:
    """A chosen workspace; `project` and `folder` are absolute, `chosen_by` says by what.

    `schema` is what the names of the schemas begin with; `replays` is the moment that is replayed
    beside the marts in force, as a setting writes it.
    """

    project: Path
    folder: Path
    chosen_by: str
    schema: str = DEFAULT_SCHEMA
    replays: str | None = None

    @property
    def is_host(self) -> bool:
        """Whether it is a dbt project that has installed ours; see `host`."""
        return False

    @property
    def package(self) -> Path:
        """The folder of our own models."""
        return self.project

    @property
    def name(self) -> str:
        """What people are told that it is."""
        return self.relative

    @property
    def relative(self) -> str:
        """The folder as dbt must see it: relative to the project, whatever the user wrote."""
        return self.shown(self.folder)

    @property
    def has_own_seeds(self) -> bool:
        return any((self.folder / "seeds").glob("*.csv"))

    @property
    def seeds(self) -> str:
        """The seed folder relative to the project: the workspace's, else the demo company's."""
        return f"{self.relative}/seeds" if self.has_own_seeds else "seeds"

    def variable(self, name: str) -> str | None:
        """A variable as dbt reads it: from the environment, else from .env."""
        return os.environ.get(name) or read_env(self.project / ".env").get(name)

    @property
    def target(self) -> str:
        """The dbt target in force, as dbt itself or profiles.yml chooses it."""
        names = ("DBT_TARGET", "THROUGHLINE_TARGET")
        return next(filter(None, map(self.variable, names)), "duckdb")

    @property
    def kind(self) -> str:
        """The kind of its warehouse, such as postgres; our targets are named after it."""
        return self.target

    @property
    def is_in_file(self) -> bool:
        """Whether the warehouse is a file of DuckDB that is known."""
        return self.kind == "duckdb" and not self.variable("DBT_PROFILES_DIR")

    @property
    def artefacts(self) -> Path:
        """The folder that dbt writes into."""
        return self.project / (self.variable("DBT_TARGET_PATH") or "target")

    def place(self, layer: str, name: str) -> tuple[str, str]:
        """Schema and name of a relation of a layer."""
        return f"{self.schema}_{layer}", name

    def shown(self, path: Path) -> str:
        """A path for people: relative to the project."""
        return Path(os.path.relpath(path, self.project)).as_posix()

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The copy of the warehouse for readers."""
        return self.folder / "published" / "throughline.duckdb"

    @property
    def notices(self) -> Path:
        """What endpoints were told of alerts, a line of JSON for each notice."""
        return self.folder / "notices" / "alerts.jsonl"

    def replaying(self, moment: str) -> Workspace:
        """The same workspace at a moment of the past; raises UserError where it is none."""
        try:
            replays = moment_text(moment)
        except ValueError as error:
            fix = "Write it like 2025-06-30 or '2025-06-30 12:00:00' (UTC)."
            raise refuse(str(error), where="--as-of", fix=fix) from None
        stamp = re.sub("[-:.]", "", replays).replace(" ", "_").removesuffix("_000000")
        own = "" if self.schema == DEFAULT_SCHEMA else f"{self.schema}_"
        return replace(self, replays=replays, schema=f"{own}as_of_{stamp}")

    @cached_property
    def contract(self) -> dict[str, Table]:
        return read_contract(self.package)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The checked settings of vars.yml; raises UserError."""
        return read_settings(
            self.folder / "vars.yml", where=f"{self.relative}/vars.yml", contract=self.contract
        )

    def setting(self, name: str) -> Any:
        """A setting of `DEFAULTS`, as vars.yml has it or by default; raises UserError."""
        return self.settings.get(name, DEFAULTS[name])

    def environment(self) -> dict[str, str]:
        """The three variables by which dbt learns of the workspace; raises UserError."""
        values = {**self.settings, "workspace": self.relative}
        if self.replays is not None:
            values["as_of"] = self.replays
        chosen = dict(zip(VARIABLES, (self.relative, self.seeds, as_json(values)), strict=True))
        return chosen if self.replays is None else {**chosen, "THROUGHLINE_SCHEMA": self.schema}


ARGUMENT = "argument"
"""What chose a workspace that the command at hand names."""


def at(folder: Path, *, project: Path, chosen_by: str) -> Workspace:
    """The workspace in `folder`; raises UserError where it is none or its path cannot be used."""
    workspace = Workspace(project=project, folder=folder.resolve(), chosen_by=chosen_by)
    where = workspace.relative
    if not workspace.folder.is_dir():
        what = "not a folder" if workspace.folder.exists() else "no such folder"
        by, other = f" (chosen by {chosen_by})", "choose another with throughline use DIR"
        if chosen_by == ARGUMENT:
            by, other = "", "name another"
        make = "Make it with throughline init or throughline simulate --out"
        raise refuse(what + by, where=where, fix=f"{make}, or {other}.")
    if re.search(r"[*?\[\]{}\\\n\r\"$]", where):
        raise refuse(
            "a workspace path may not hold any of * ? [ ] { } \\ $ or a double quote",
            where=where,
            fix="Rename the folder.",
        )
    if workspace.folder == project:
        raise refuse(
            "the project itself is no workspace", where=where, fix="Choose a folder of your own."
        )
    return workspace


def choose(*, project: Path, environment: Mapping[str, str]) -> Workspace:
    """The workspace named by the environment, else by .env, else the default; raises UserError."""
    written = read_env(project / ".env")
    name = VARIABLES[0]
    candidates = (
        (environment.get(name), f"the environment variable {name}"),
        (written.get(name), ".env"),
        (DEFAULT_WORKSPACE, "default"),
    )
    folder, chosen_by = next((value, by) for value, by in candidates if value)
    schema = {**written, **environment}.get("THROUGHLINE_SCHEMA", DEFAULT_SCHEMA)
    return replace(at(project / folder, project=project, chosen_by=chosen_by), schema=schema)


def use(folder: Path, *, project: Path) -> Workspace:
    """Chooses a workspace for every later command and for plain dbt; raises UserError."""
    workspace = at(folder, project=project, chosen_by=ARGUMENT)
    write_env(project / ".env", workspace.environment())
    return workspace


# A new workspace


def create(folder: Path, *, project: Path, headers: Mapping[str, Sequence[str]]) -> Workspace:
    """An empty workspace: raw folders, seeds with their `headers`, settings template, README.

    Raises UserError where the folder holds anything but hidden files.
    """
    if folder.exists() and not folder.is_dir():
        raise refuse("a file, not a folder", where=str(folder), fix="Choose another name.")
    if folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise refuse(
            "the folder is not empty",
            where=str(folder),
            fix="Choose a new folder: nothing is overwritten.",
        )
    contract = read_contract(project)
    for table in contract:
        (folder / "raw" / table).mkdir(parents=True, exist_ok=True)
    (folder / "seeds").mkdir(exist_ok=True)
    for seed, header in headers.items():
        text = ",".join(header) + "\n"
        (folder / "seeds" / f"{seed}.csv").write_text(text, encoding="utf-8", newline="")
    (folder / "vars.yml").write_text(vars_template(), encoding="utf-8")
    workspace = at(folder, project=project, chosen_by=ARGUMENT)
    (folder / "README.md").write_text(_readme(contract), encoding="utf-8")
    return workspace


def _readme(contract: Mapping[str, Table]) -> str:
    optional = ", ".join(table for table in contract if table != REQUIRED_INPUT)
    return f"""# A Throughline workspace

1. **Deliver.** Put Parquet or CSV files into `raw/<table>/`. Required: {REQUIRED_INPUT}.
   Optional: {optional};
   list the tables you deliver under `inputs` in `vars.yml`. Other file or
   column names: see `sources` and `mapping` there.
2. **Declare.** Add a row per model to `seeds/model_registry.csv`, and to `seeds/unit_values.csv`
   what a right or wrong decision is worth. Every row has an owner and a rationale.
3. **Choose, check and build**, from the project's folder:

       throughline use <this folder>
       throughline doctor
       throughline build

`throughline doctor` names each fault with its place and its fix. Your files are only read.
"""
