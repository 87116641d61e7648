"""Pieces of SQL, and what DuckDB's messages say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import duckdb

# A number, perhaps with blanks around it; the macro `number_pattern` has the same one.
NUMBER = (
    r"^[ \t\r\n]*[+-]?(([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]{1,4})?|inf|infinity|nan)[ \t\r\n]*$"
)
# What programs write where there is no value; the macro `words_for_nothing` has the same list.
WORDS_FOR_NOTHING = ("nan", "none", "nat", "null", "nil", "na", "n/a", "#n/a", "<na>", "\\n")


def describe(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(f"describe {query}").fetchall()]


def one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def relation(schema: str, name: str, *, quote: str = '"') -> str:
    """A relation as SQL; its schema is quoted where it would not be read as it is written."""
    is_plain = re.fullmatch("[a-z_][a-z0-9_]*", schema)
    return f"{schema if is_plain else quoted(schema, quote=quote)}.{name}"


def quoted(name: str, *, quote: str = '"') -> str:
    return quote + name.replace(quote, quote * 2) + quote


def cast(expression: str, data_type: str) -> str:
    """A contract value or NULL, as the macro `safe_cast_to` reads it."""
    if data_type == "string":
        text = f"cast({expression} as varchar)"
        # a no-break space counts as text there, though trim would take it away
        is_plain = f"{text} >= '!' and {text} not like '% '"
        return f"case when {is_plain} then {text} else nullif(trim({text}), '') end"
    if data_type == "timestamp":
        text = f"trim(cast({expression} as varchar))"
        unread = rf"regexp_matches({text}, '[A-Za-z]{{2}}|^[\t\r\n]')"
        is_read = f"not {unread} or regexp_matches({text}, '(UTC|GMT)$')"
        return f"case when {is_read} then cast(try_cast({text} as timestamptz) as timestamp) end"
    if data_type == "double":
        is_number = f"regexp_matches(cast({expression} as varchar), '{NUMBER}', 'i')"
        is_typed = f"typeof({expression}) <> 'VARCHAR'"
        return f"case when {is_typed} or {is_number} then try_cast({expression} as double) end"
    if data_type == "boolean":
        # the number 2 is true, the text is not
        as_text = f"try_cast(trim(cast({expression} as varchar)) as boolean)"
        typed = f"try_cast({expression} as boolean)"
        return f"case when typeof({expression}) = 'VARCHAR' then {as_text} else {typed} end"
    if data_type == "integer":
        number = cast(expression, "double")
        return f"case when {number} = floor({number}) then try_cast({number} as bigint) end"
    return f"try_cast({expression} as {data_type})"


def given(expression: str) -> str:
    """What was delivered as a text, NULL where it is a word for nothing."""
    text = cast(expression, "string")
    words = ", ".join(map(literal, WORDS_FOR_NOTHING))
    return f"case when lower({text}) not in ({words}) then {text} end"


def reason(error: duckdb.Error) -> str:
    """The telling part of a DuckDB message, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = first_sentence(lines[0].split("Error: ", 1)[-1])
    line = re.search(r"CSV Error on Line: (\d+)", str(error))
    if line:
        cause = next((one for one in lines[1:] if not one.startswith("Original Line")), text)
        return f"row {line[1]}: {first_sentence(cause)}"
    return text


def file_of(error: duckdb.Error, *, project: Path) -> str | None:
    """The file that a CSV error names, relative to the project."""
    found = re.search(r"^\s*file = (.+)$", str(error), re.MULTILINE)
    return os.path.relpath(found[1], project) if found else None


def first_sentence(text: str) -> str:
    return re.split(r"[.!](?:\s|$)", text, maxsplit=1)[0].strip()
