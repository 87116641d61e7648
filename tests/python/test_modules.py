"""The modules of the command line import one way: what a module needs never needs it back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from building import ROOT

SCRIPTS = ROOT / "scripts"


def imports(scripts: Path) -> dict[str, set[str]]:
    """What each module of ours imports of ours, also within its functions."""
    modules = {
        ".".join(path.relative_to(scripts).with_suffix("").parts).removesuffix(".__init__"): path
        for path in scripts.rglob("*.py")
    }
    return {
        name: set(_imported(path, modules)) - {name, "throughline"}
        for name, path in modules.items()
    }


def _imported(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            named = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else node.module for name in named)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_imports_point_one_way() -> None:
    found = imports(SCRIPTS)
    assert found["throughline.cli"] > {"throughline.build", "throughline.doctor"}
    TopologicalSorter(found).prepare()


def test_a_circle_would_be_seen(tmp_path: Path) -> None:
    package = tmp_path / "throughline"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from throughline import two\n")
    (package / "two.py").write_text("def later():\n    from throughline.one import thing\n")
    with pytest.raises(CycleError):
        TopologicalSorter(imports(tmp_path)).prepare()
