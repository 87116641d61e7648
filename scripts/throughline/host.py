"""A host: a dbt project of the user's that has installed Throughline.

Its dbt_project.yml says what a workspace says elsewhere, and its profile where the warehouse is.
dbt is asked once for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from throughline import dbt_process, project
from throughline.findings import refuse
from throughline.workspace import Workspace

WRITTEN = "fct_lift_"
"""What the names of the models begin with that `throughline lift` writes."""


@dataclass(frozen=True)
class Host(Workspace):
    """The project of a user; `folder` is what commands write into beside the warehouse."""

    @property
    def is_host(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return self.project.name

    @property
    def package(self) -> Path:
        return project.package(self.project)

    def environment(self) -> dict[str, str]:
        """Nothing: no variable of ours is read in a host."""
        return {}

    def variable(self, name: str) -> str | None:
        return None if name.startswith(project.PACKAGE.upper()) else super().variable(name)

    def replaying(self, moment: str) -> Workspace:
        fix = "Leave it out, or set vars: as_of in a target with schemas of its own."
        raise refuse("a host has no replays", where="--as-of", fix=fix)

    @cached_property
    def told(self) -> Mapping[str, Any]:
        """What the macro `tell_project` says; raises UserError where dbt cannot say it."""
        return dbt_process.operation(
            self, "tell_project", {}, variables=dbt_process.environment(self)
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings as dbt resolves them."""
        given: Mapping[str, Any] = self.told["settings"]
        return {name: value for name, value in given.items() if value is not None}

    @property
    def target(self) -> str:
        return str(self.told["target"]["name"])

    @property
    def kind(self) -> str:
        return str(self.told["target"]["type"])

    @property
    def is_in_file(self) -> bool:
        path = self.told["target"].get("path") or ":memory:"
        return self.kind == "duckdb" and not path.startswith((":memory:", "md:", "motherduck:"))

    @property
    def warehouse(self) -> Path:
        """The file of DuckDB that the profile names."""
        return Path(self.project / (self.told["target"].get("path") or "warehouse.duckdb"))

    @property
    def artefacts(self) -> Path:
        named = project.described(self.project).get("target-path")
        return self.project / (self.variable("DBT_TARGET_PATH") or named or "target")

    @property
    def published(self) -> Path:
        """The copy for readers of what a target holds."""
        return self.folder / self.target / "published" / "throughline.duckdb"

    @property
    def notices(self) -> Path:
        """What endpoints were told of the alerts of a target."""
        return self.folder / self.target / "notices" / "alerts.jsonl"

    def place(self, layer: str, name: str) -> tuple[str, str]:
        """Where the host has one of our relations, whatever it calls its schemas."""
        relations: Mapping[str, Mapping[str, str]] = self.told["relations"]
        if name not in relations:
            raise refuse(
                f"dbt knows no relation {name} of layer {layer}",
                where=self.name,
                fix="Is its model disabled? Enable it in dbt_project.yml.",
            )
        return relations[name]["schema"], relations[name]["identifier"]

    @property
    def made_from_lift(self) -> list[str]:
        """Our models below those that `throughline lift` writes, which are not among them."""
        models = [entry for entry in self.told["relations"].values() if "id" in entry]
        found = {entry["id"] for entry in models if entry["identifier"].startswith(WRITTEN)}
        written, before = set(found), set[str]()
        while found != before:
            before = set(found)
            found |= {entry["id"] for entry in models if not found.isdisjoint(entry["reads"])}
        return sorted(unique_id.rpartition(".")[2] for unique_id in found - written)


def at(root: Path) -> Host:
    """The host whose project is in `root`."""
    return Host(project=root, folder=root / project.PACKAGE, chosen_by="its project")
