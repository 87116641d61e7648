"""Faults a user can mend: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One fault: what is wrong, where it stands and how to fix it.

    An error stops a build; a note is of so few rows that no number moves by it.
    """

    severity: Severity
    what: str
    where: str
    fix: str

    def __str__(self) -> str:
        return " ".join(f"{self.where}: {self.what.rstrip('.')}. {self.fix}".split())


class UserError(Exception):
    """Faults the user can mend; the command line prints one line for each."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


def refuse(what: str, *, where: str, fix: str) -> UserError:
    return UserError(Finding("error", what, where, fix))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, or all of them where none is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."
