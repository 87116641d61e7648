"""The dbt project that a command drives: Throughline's own, or a host that has installed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from throughline.findings import refuse

PACKAGE = "throughline"
"""The name of our dbt project, also where it is installed."""
PROJECT_FILE = "dbt_project.yml"
ADD = "Name it in packages.yml and run dbt deps."


def find_project(start: Path) -> Path:
    """The nearest dbt project that holds `start`: our own, or one that has installed ours.

    Raises UserError where there is none.
    """
    here = start.resolve()
    root = next(
        (place for place in (here, *here.parents) if (place / PROJECT_FILE).is_file()), None
    )
    if root is None:
        fix = "Run it inside your dbt project, or name that before the command: --project-dir DIR."
        raise refuse("no dbt project here", where=str(start), fix=fix)
    if not (package(root) / PROJECT_FILE).is_file():
        raise refuse("Throughline is not installed in this dbt project", where=str(root), fix=ADD)
    return root


def is_own(root: Path) -> bool:
    """Whether a dbt project is Throughline's own."""
    return described(root).get("name") == PACKAGE


def package(root: Path) -> Path:
    """Where our models lie: in our own project its root, in a host the installed package."""
    if is_own(root):
        return root
    installed = described(root).get("packages-install-path", "dbt_packages")
    return root / str(installed) / PACKAGE


def described(root: Path) -> dict[str, Any]:
    """What dbt_project.yml says; raises UserError where it cannot be read."""
    path = root / PROJECT_FILE
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"not valid YAML: {' '.join(str(error).split())}"
        raise refuse(what, where=str(path), fix="Correct it.") from None
    return found if isinstance(found, dict) else {}
