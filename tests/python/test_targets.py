"""Every target compiles without its server, to SQL of its dialect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlfluff.core import FluffConfig, Linter

from building import Project

# the engines run what is only read here
pytestmark = pytest.mark.thorough

DIALECTS = {"postgres": "postgres", "spark": "sparksql"}


@pytest.mark.parametrize("target", DIALECTS)
def test_the_models_are_sql_of_the_dialect(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dbt-spark asks whether pyspark can be imported before it compiles, and uses nothing of it
    (tmp_path / "found/pyspark").mkdir(parents=True)
    (tmp_path / "found/pyspark/__init__.py").touch()
    paths = [str(tmp_path / "found"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    project = Project.copy(tmp_path / "project")
    command = ["dbt", "--no-use-colors", "--quiet", "compile", "--target", target]
    run = project.run(
        project.root / "workspace", [*command, "--no-introspect", "--no-populate-cache"]
    )
    assert run.status == 0, run.output
    config = FluffConfig(
        overrides={
            "dialect": DIALECTS[target],
            "templater": "raw",
            "large_file_skip_byte_limit": 0,
            "max_parse_nodes": 0,
            # the checks of all raw tables are one long union
            "rust_parser_max_iterations": 30_000_000,
        }
    )
    linter = Linter(config=config)
    folder = project.root / "target/compiled/throughline"
    # data tests lie in a folder that is called like the file they are written in
    models = [path for path in folder.glob("models/**/*.sql") if path.parent.suffix != ".yml"]
    compiled = sorted([*models, *folder.glob("analyses/*.sql")])
    assert len(compiled) > 60
    for path in compiled:
        faults = linter.parse_string(path.read_text(), path.name).violations
        assert not faults, f"{path.name}: {faults[0]}"
