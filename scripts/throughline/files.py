"""Files that are written: as a whole or not at all, and .env line by line."""

from __future__ import annotations

import fcntl
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from throughline.findings import refuse


def read_env(path: Path) -> dict[str, str]:
    """The values of a .env as dbt reads them, {} where there is none; raises UserError."""
    try:
        return {name: value or "" for name, value in dotenv_values(path, encoding="utf-8").items()}
    except UnicodeDecodeError:
        raise refuse("not UTF-8 text", where=path.name, fix="Save it as UTF-8.") from None


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Sets `values` in a .env and keeps every other line as it stands."""
    read_env(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = "".join(
        binding.original.string
        for binding in parse_stream(io.StringIO(text))
        if binding.key not in values
    )
    if kept and not kept.endswith("\n"):
        kept += "\n"
    swap_in(path, kept + "".join(f"{name}={quoted(value)}\n" for name, value in values.items()))


@contextmanager
def locked(folder: Path, *, does: str, where: str) -> Iterator[None]:
    """Keeps a folder for one process at a time; raises UserError where another has it.

    `does` is what the other one does with it, for the message. The lock ends with its process,
    however that ends.
    """
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        what = f"another command {does}"
        raise refuse(what, where=where, fix="Wait until it ends.") from None
    try:
        yield
    finally:
        os.close(lock)


def quoted(value: str) -> str:
    """A single-quoted .env value; `value` holds no backslash pair (see ESCAPES)."""
    return "'" + value.replace("'", "\\'") + "'"


def swap_in(path: Path, content: str | bytes) -> None:
    """Writes a file beside the old one, then takes its place: never half a file."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(place: Path, *, fix: str) -> Iterator[None]:
    """Files below `place` are written meanwhile; raises UserError where they cannot be."""
    try:
        yield
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise refuse(what, where=str(place), fix=fix) from None


def as_json(values: Mapping[str, Any]) -> str:
    """One line of JSON that YAML and a single-quoted .env value both read back unchanged."""
    text = json.dumps(values, ensure_ascii=False, separators=(", ", ": "))
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


# Quotes and backslashes end or change a .env value, ${…} is interpolated there, and YAML folds the
# last four, which it holds for line breaks or unprintable.
ESCAPES = {
    "\\\\": "\\u005c",
    "'": "\\u0027",
    "$": "\\u0024",
    "\x7f": "\\u007f",
    "\x85": "\\u0085",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
