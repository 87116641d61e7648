"""Mends trailing blanks and the end of text files, and says which YAML cannot be read.

Called by pre-commit with the changed files. Exits with 1 where a file was mended or is not YAML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml


def tidied(text: str) -> str:
    """The text without blanks before a line end, and with one line end at its end."""
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n" if text.strip() else ""


def complaint(path: Path) -> str:
    """What was wrong with a file, in one line; empty where it is sound."""
    # read_text would hide the line ends of Windows
    text = path.read_bytes().decode("utf-8")
    if path.suffix in {".yml", ".yaml"}:
        try:
            list(yaml.safe_load_all(text))
        except yaml.YAMLError as error:
            return f"{path}: not YAML: {' '.join(str(error).split())}"
    if text != tidied(text):
        path.write_text(tidied(text), encoding="utf-8", newline="\n")
        return f"{path}: mended trailing blanks or the end of the file; add it again"
    return ""


def main(names: Sequence[str]) -> int:
    said = [line for line in map(complaint, map(Path, names)) if line]
    print("\n".join(said), end="\n" if said else "")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
