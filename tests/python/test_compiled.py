"""What a change of a macro does to the SQL of the demo is seen in review."""

from __future__ import annotations

from pathlib import Path

import compiled
from building import ROOT, Project


def test_the_models_compile_to_what_is_kept(demo_project: Project, demo: Path) -> None:
    run = demo_project.dbt(demo, *compiled.COMMAND)
    assert run.status == 0, run.output
    found = compiled.read(demo_project.root / "target", workspace="workspace")
    assert found.keys() == set(compiled.MODELS)
    kept = compiled.kept()
    assert kept.keys() == found.keys()
    for name in compiled.MODELS:
        assert found[name] == kept[name], f"{name} compiles to other SQL: make compiled, then read"


def test_the_waist_is_short_enough_to_read() -> None:
    """A row of literals is a line: seven each would be over 3,000."""
    assert len(compiled.kept()["fct_metrics"].splitlines()) < 600


def test_the_kept_sql_does_not_hang_on_a_workspace() -> None:
    text = "select *   \n\n\n\nfrom read_csv('.build/compiled/workspace/raw/x.csv')\n\n"
    usual = "select *\n\nfrom read_csv('workspace/raw/x.csv')\n"
    assert compiled.plain(text, workspace=".build/compiled/workspace") == usual
    for name, kept in compiled.kept().items():
        assert str(ROOT) not in kept, name
        assert kept == compiled.plain(kept, workspace="workspace"), name
