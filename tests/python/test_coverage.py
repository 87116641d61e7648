"""Each name that docs/coverage.md gives as an answer exists after a build."""

from __future__ import annotations

import re
from pathlib import Path

from building import ROOT, query
from throughline.cli import cli

TEXT = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")


def test_every_named_thing_exists_after_a_build(demo: Path) -> None:
    columns = query(
        demo,
        "select table_name, column_name from information_schema.columns "
        "where table_schema like 'main_%'",
    )
    known = set(columns.table_name) | set(columns.table_name + "." + columns.column_name)
    known |= set(query(demo, "select metric from dim_metrics").metric)
    known |= {f"throughline {name}" for name in cli.commands}
    for path in [*(ROOT / "macros").rglob("*.sql"), *(ROOT / "tests/generic").glob("*.sql")]:
        known |= set(re.findall(r"{%-? *(?:macro|test) (\w+)\(", path.read_text(encoding="utf-8")))
    named = {
        name
        for line in TEXT.splitlines()
        if line.startswith("|")
        for name in re.findall("`(.+?)`", line)
    }
    assert len(named) > 100
    assert sorted(named - known) == []


def test_the_ninety_asks_are_numbered_and_answered() -> None:
    rows = re.findall(r"^\| (\d+)\. .+? \| (.+) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 91))
    assert all("`" in answer for _, answer in rows)
