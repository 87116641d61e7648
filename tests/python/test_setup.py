"""Making the environment: which Python it takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("old", "{bin}/old is Python 3.9.2; "),
        ("old new", "{bin}/old is Python 3.9.2; {bin}/new is Python 3.14.0; "),
        ("none", "{bin}/none is no program that runs; "),
    ],
)
def test_a_python_that_is_not_supported_is_named_with_its_version(
    tmp_path: Path, given: str, said: str
) -> None:
    for name, version in (("old", "3.9.2"), ("new", "3.14.0")):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo Python {version}\n')
        program.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts/setup_venv", tmp_path / "venv"],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHON": " ".join(f"{tmp_path}/{name}" for name in given.split()),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"setup: {said.format(bin=tmp_path)}3.10 to 3.13 is needed: install one, or name it with "
        "make setup PYTHON=...\n"
    )
    assert not (tmp_path / "venv").exists()
