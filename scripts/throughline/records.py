"""The second reader of CSV files, Python's own.

It counts the records beside DuckDB, and says why DuckDB cannot read a file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

import duckdb

from throughline.sql import literal

DELIMITERS = ",;\t|"
# Any cell that DuckDB reads is read here too.
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Fault:
    """Why a file is not read as it was meant, and how to mend it; `line` counts from 1."""

    what: str
    fix: str
    line: int | None = None
    is_harmless: bool = False

    def at(self, where: str) -> str:
        return where if self.line is None else f"{where}, row {self.line}"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    ending = path.suffix.lower()
    if ending == ".gz":
        with gzip.open(path) as unpacked:
            yield unpacked  # type: ignore[misc]
    elif ending == ".zst":
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "lines"
            _unpack(path, copy)
            with copy.open("rb") as content:
                yield content
    else:
        with path.open("rb") as content:
            yield content


def _unpack(path: Path, copy: Path) -> None:
    """By DuckDB, line by line: Python below 3.14 knows no Zstandard. Raises duckdb.Error."""
    whole_lines = "delim = chr(1), quote = '', escape = '', comment = '', header = false"
    duckdb.execute(
        f"copy (select line from read_csv({literal(str(path))}, columns = {{'line': 'varchar'}}, "
        f"auto_detect = false, strict_mode = false, compression = 'zstd', {whole_lines})) "
        f"to {literal(str(copy))} "
        "(format csv, header false, quote '', escape '', delimiter '\x01')"
    )


def is_empty(path: Path) -> bool:
    """Whether a file holds nothing but blank lines."""
    try:
        with opened(path) as content:
            return not any(line.strip() for line in content)
    except (OSError, EOFError, duckdb.Error):
        return False


def records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and the records of a file, each with its first line.

    A blank line is no record, but below a header of one column it is an empty cell. Raises
    csv.Error with the line and the cause, and UnicodeDecodeError.
    """
    with opened(path) as content:
        lines = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
        for above, line in enumerate(lines):
            if line.strip():
                yield from _records(chain([line], lines), delimiter=delimiter_of(line), above=above)
                return


def _records(
    lines: Iterator[str], *, delimiter: str, above: int
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first, width = above + 1, 0
    try:
        for cells in reader:
            width = width or len(cells)
            if cells or width == 1:
                yield first, cells or [""]
            first = above + reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(first, str(error)) from None


def delimiter_of(header: str) -> str:
    """The delimiter that tells a header into the most columns."""
    outside_quotes = re.sub('"[^"]*"', "", header)
    return max(DELIMITERS, key=outside_quotes.count)


def count(path: Path) -> int:
    """The records below the header; raises as `records` does."""
    return max(sum(1 for _ in records(path)) - 1, 0)


def difference(
    connection: duckdb.DuckDBPyConnection, path: Path, reader: str, *, limit: int | None = None
) -> Fault | None:
    """The first record that DuckDB loses or reads otherwise; None where both read the same number.

    `reader` is SQL that reads the file. With a `limit` as many rows are compared, not counted.
    """
    try:
        if limit is None:
            (rows,) = connection.execute(f"select count(*) from {reader}").fetchone() or (0,)
            counted = count(path)
            if rows == counted:
                return None
            told = f"DuckDB reads {rows:,} of {counted:,} rows; the first that differs is this"
        else:
            told = "DuckDB does not read this row as it stands"
        few = "" if limit is None else f" limit {limit}"
        theirs = connection.execute(f"select * from {reader}{few}")
        ours = records(path)
        next(ours, None)
        line = 1
        for line, cells in islice(ours, limit):
            row = theirs.fetchone()
            if row is None or [cell or "" for cell in row] != cells[: len(row)]:
                return Fault(told, "Correct the row, or report it with the file.", line)
        if limit is None:
            return Fault(told, "Remove what stands below it.", line)
    except (csv.Error, UnicodeDecodeError, OSError, EOFError, duckdb.Error):
        return fault(path)
    return None


def fault(path: Path) -> Fault | None:
    """Why DuckDB does not read a file, or not as it was meant, as far as Python sees it."""
    try:
        return _encoding_fault(path) or _form_fault(path) or _mixed_ends(path)
    except (OSError, EOFError, duckdb.Error) as error:
        return Fault(f"cannot be unpacked: {error}", "Deliver the file again.")


def _encoding_fault(path: Path) -> Fault | None:
    with opened(path) as content:
        for number, line in enumerate(content, 1):
            if number == 1:
                is_marked = line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                if is_marked or line[:200].count(0) > len(line[:200]) // 4:
                    encoding = "UTF-16" if is_marked else "UTF-16LE"
                    return Fault("UTF-16 text, not UTF-8", _convert(path, encoding))
            try:
                line.decode()
            except UnicodeDecodeError as error:
                # Windows has letters and signs where Latin-1 has control characters.
                is_windows = any(0x80 <= byte <= 0x9F for byte in line)
                encoding = "WINDOWS-1252" if is_windows else "LATIN1"
                what = (
                    f"not UTF-8 text, but probably {encoding.title()}: byte {line[error.start]:#x}"
                )
                return Fault(what, _convert(path, encoding), number)
    return None


def _convert(path: Path, encoding: str) -> str:
    return f'Convert it: iconv -f {encoding} -t UTF-8 "{path.name}" > "utf8-{path.name}".'


def header_fault(path: Path) -> Fault | None:
    """As `fault`, where the first lines show it."""
    try:
        line, header = next(records(path), (1, [""]))
    except (csv.Error, UnicodeDecodeError, OSError, EOFError, duckdb.Error):
        return fault(path)
    return _header_fault(header, line=line)


def _header_fault(header: list[str], *, line: int) -> Fault | None:
    if line > 1:
        what = "the first line is blank, so that the header is also read as a row, and rejected"
        return Fault(what, "Remove the line.", 1, is_harmless=True)
    names = [name.lower() for name in header]
    for name in names:
        if name and names.count(name) > 1:
            fix = "Rename or remove one: only the first would be read."
            return Fault(f"column {name} stands twice in the header", fix)
    other = re.search("[:^~\x01]", header[0]) if len(header) == 1 else None
    if other:
        what = f"the columns of its header seem to be separated by {other[0]!r}"
        return Fault(what, "Separate them by commas, semicolons, tabs or bars.")
    return None


def _form_fault(path: Path) -> Fault | None:
    found = records(path)
    try:
        line, header = next(found, (1, [""]))
        for number, cells in found:
            # DuckDB takes no delimiter at the end of a row for a cell of its own.
            if len(cells) != len(header) and cells[len(header) :] != [""]:
                what = f"{len(cells)} cells, but the header has {len(header)}"
                fix = "Put a cell that holds the delimiter into double quotes; leave none out."
                return Fault(what, fix, number)
    except csv.Error as error:
        line, cause = error.args
        return Fault(f"not readable as CSV: {cause}", "Correct the quotes.", line)
    return _header_fault(header, line=line)


def _mixed_ends(path: Path) -> Fault | None:
    ends: set[bytes] = set()
    with opened(path) as content:
        for number, line in enumerate(content, 1):
            ends.add(line[-2:] if line.endswith(b"\r\n") else line[-1:])
            if len(ends & {b"\r\n", b"\n"}) > 1:
                fix = "Write all lines alike, e.g. by dos2unix."
                return Fault("line ends differ from those above: LF and CR LF", fix, number)
    return None
