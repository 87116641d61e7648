"""Copies of `integration_tests`, a project that installs the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import ROOT

OURS = "shop_throughline"
LATER = {"delivered_until": "2026-06-20 00:00:00", "restated": True}
REGISTRY = "seeds/ml_models.csv"
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Host:
    """A copy of the project on an engine; `variables` lead dbt to it."""

    folder: Path
    variables: Mapping[str, str]

    def dbt(self, *arguments: str, variables: Mapping[str, object] | None = None) -> str:
        done = self.run(*arguments, variables=variables)
        assert done.returncode == 0, done.stdout[-5_000:]
        return done.stdout

    def throughline(self, *arguments: str) -> str:
        return self._ran("throughline", *arguments).stdout

    def run(
        self, *arguments: str, variables: Mapping[str, object] | None = None
    ) -> subprocess.CompletedProcess[str]:
        given = ("--vars", json.dumps(variables)) if variables else ()
        return self._run("dbt", "--no-use-colors", *arguments, *given)

    def _ran(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self._run(program, *arguments)
        assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
        return done

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if name[:4] != "DBT_"}
        # of a workspace that is in use elsewhere; a host reads none of these
        foreign = {"THROUGHLINE_WORKSPACE": "elsewhere", "THROUGHLINE_VARS": "{segments: [floor]}"}
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), *arguments],
            cwd=self.folder,
            env={**own, **foreign, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def restate_registry(self) -> None:
        """The shop takes fewer scores for an offer from now on, and looks back so too."""
        path = self.folder / REGISTRY
        path.write_text(path.read_text().replace(",gain,0.5,", ",gain,0.7,"))

    @property
    def manifest(self) -> Any:
        return json.loads((self.folder / "target/manifest.json").read_text())


def install(folder: Path, variables: Mapping[str, str] = NOTHING) -> Host:
    shutil.rmtree(folder, ignore_errors=True)
    left_out = shutil.ignore_patterns("target", "logs", "dbt_packages", "package-lock.yml")
    shutil.copytree(ROOT / "integration_tests", folder, ignore=left_out)
    (folder / "packages.yml").write_text(f"packages: [local: {ROOT}]\n")
    host = Host(folder, variables)
    host.dbt("deps")
    return host
