"""What a long command does and how long it will take, on a terminal alone.

How long is known from the last run: the seconds of each piece stand beside what dbt writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from throughline.files import swap_in

FILE = "throughline_durations.json"
KEPT = 12
"""Kinds of runs that are remembered, the latest."""
Begin: TypeAlias = Callable[[str], None]
"""Called with the name of each piece of work as it begins."""


@dataclass
class Work:
    """Pieces of a command: what they took the last time, and what has been done of them.

    `total` is their number where it is known; else it is that of the last time.
    """

    last: Mapping[str, float]
    total: int | None = None
    doing: str = ""
    done: dict[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return max(self.total or len(self.last), len(self.done))

    def left(self, elapsed: float) -> float | None:
        """Seconds that the rest will take, None where nothing tells.

        Pieces that the last run did not have take as long as the others do. What is done by now
        tells how much quicker or slower this run is, also by doing several at a time.
        """
        known = [seconds for name, seconds in self.last.items() if name not in self.done]
        took = sum(self.done.values())
        pieces = self.count - len(self.done)
        if not self.last and not self.total:
            return None
        if not pieces:
            return 0.0
        if not known:
            return elapsed / len(self.done) * pieces if self.done else None
        rest = sum(known) / len(known) * pieces
        expected = sum(self.last.get(name, seconds) for name, seconds in self.done.items())
        is_telling = took > 0 and expected >= 0.2 * (expected + rest)
        return rest * elapsed / expected if is_telling else rest


class Meter:
    """Shows the work of a command while it goes on."""

    def __init__(self, last: Mapping[str, float], *, progress: Progress) -> None:
        self.work = Work(last=last)
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._began = self._since = time.monotonic()

    def begin(self, piece: str) -> None:
        """Sets out on a piece, which ends the one before."""
        self.end()
        self.follow(doing=piece, done=self.work.done, total=None)

    def end(self) -> None:
        """Ends the last piece."""
        if self.work.doing and self.work.doing not in self.work.done:
            self.work.done[self.work.doing] = time.monotonic() - self._since

    def follow(self, *, doing: str, done: dict[str, float], total: int | None) -> None:
        """Shows what another process says of its pieces: seconds by those that are done."""
        now = time.monotonic()
        if not self.work.done and not done:
            self._began = now
        self.work = Work(last=self.work.last, total=total, doing=doing, done=done)
        self._since = now
        self._progress.update(
            self._task,
            completed=len(done),
            total=self.work.count or None,
            description=told(self.work, elapsed=now - self._began),
        )


def ignored(piece: str) -> None:
    """Where nobody looks on."""


def told(work: Work, *, elapsed: float) -> str:
    """How many pieces are done, which one runs, and how long the rest will take."""
    left = work.left(elapsed)
    is_counted = work.last or work.total
    parts = [f"{len(work.done)}/{work.count}" if is_counted else "", work.doing]
    parts += [f"{duration(left)} left"] if left else []
    return "  ".join(filter(None, parts))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    return f"about {round(seconds / 60)} min"


@contextmanager
def shown(folder: Path, title: str, *, console: Console, of: str = "") -> Iterator[Meter]:
    """The meter of a command; what its pieces took is kept for the next run.

    Args:
        folder: that dbt writes into.
        title: that is shown.
        console: nothing is shown where it is no terminal.
        of: what else tells runs apart that take each their time.
    """
    columns = (
        TextColumn(title),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
    )
    file, key = folder / FILE, f"{title} {of}".strip()
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        meter = Meter(read(file).get(key, {}), progress=progress)
        yield meter
    meter.end()
    # of a run that was cut short, what it did not reach stands as it was
    is_whole = len(meter.work.done) == meter.work.count
    write(file, key, {**({} if is_whole else meter.work.last), **meter.work.done})


def read(file: Path) -> dict[str, dict[str, float]]:
    """Seconds by piece of each kind of run; nothing where they are not known."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {
            key: {name: float(seconds) for name, seconds in pieces.items()}
            for key, pieces in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def write(file: Path, key: str, pieces: Mapping[str, float]) -> None:
    """Keeps what a run took. It is a comfort: where it cannot be kept, nobody is told."""
    kept = read(file)
    kept.pop(key, None)
    kept[key] = {name: round(seconds, 3) for name, seconds in pieces.items()}
    latest = dict(list(kept.items())[-KEPT:])
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        swap_in(file, json.dumps(latest, indent=1))
