"""The command line as a wheel: built, installed from the file, and used without a clone."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from building import ROOT
from throughline import __version__


def run(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("THROUGHLINE_", "DBT_", "PYTHON"))
    }
    # dbt is found beside the Python that runs, else on the path
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=kept | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_command_line_and_no_dbt_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (described,) = (name for name in names if name.endswith("/METADATA"))
        needs = archive.read(described).decode()
    assert "throughline/cli.py" in names
    assert "throughline/simulate/company.sql" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"throughline"}
    assert not [name for name in names if "dbt_project" in name or name.endswith((".yml", ".csv"))]
    assert "Requires-Dist: dbt-core<1.13,>=1.12" in needs


def test_the_wheel_names_all_that_it_imports(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    (described,) = tmp_path.glob("*.dist-info/METADATA")
    lines = metadata.Distribution.at(described.parent).requires or []
    needed = {Requirement(line).name for line in lines if "extra ==" not in line}
    imported = {
        name.partition(".")[0]
        for path in (tmp_path / "throughline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    # dbt-core brings its own libraries
    others = imported - sys.stdlib_module_names - {"throughline", "dbt", "dbt_common"}
    homes = metadata.packages_distributions()
    assert len(others) > 5
    assert not {name for name in others if not needed & {home.lower() for home in homes[name]}}


def test_the_installed_program_knows_no_project_but_the_one_it_is_given(
    program: Path, tmp_path: Path
) -> None:
    told = run(program, "--version", folder=tmp_path)
    assert told.stdout == f"throughline {__version__}\n"
    nowhere = run(program, "use", folder=tmp_path)
    assert nowhere.returncode == 1
    assert nowhere.stderr == (
        f"error {tmp_path}: no dbt project here. Run it inside your dbt project, or name that "
        "before the command: --project-dir DIR.\n"
    )
    made = run(program, "--project-dir", str(ROOT), "init", "mine", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "mine/seeds/model_registry.csv").exists()
