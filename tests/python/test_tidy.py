"""The hook that keeps text files tidy: what it mends, what it refuses, what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from building import ROOT


def tidy(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "tidy.py", *paths],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a  \nb\t\n", "a\nb\n"),
        ("a", "a\n"),
        ("a\n\n\n", "a\n"),
        ("a\r\nb\r\n", "a\nb\n"),
    ],
)
def test_untidy_text_is_mended_and_said_once(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(before.encode())
    first = tidy(path)
    assert (first.returncode, len(first.stdout.splitlines())) == (1, 1)
    assert path.read_bytes() == after.encode()
    assert (tidy(path).returncode, tidy(path).stdout) == (0, "")


def test_broken_yaml_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    path.write_text("models: [a\n")
    done = tidy(path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{path}: not YAML: ")
    assert path.read_text() == "models: [a\n"


def test_the_texts_of_the_project_are_tidy(tmp_path: Path) -> None:
    patterns = ("*.md", "*.toml", "models/**/*", "macros/**/*", "scripts/**/*", "tests/**/*")
    suffixes = {".md", ".toml", ".yml", ".sql", ".py", ".json"}
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.suffix in suffixes}
    copies = []
    for number, path in enumerate(sorted(found)):
        copies.append(tmp_path / f"{number}-{path.name}")
        copies[-1].write_bytes(path.read_bytes())
    done = tidy(*copies)
    assert done.stdout == ""
    assert len(copies) > 50
