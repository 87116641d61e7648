"""Wall time, processor time and memory of a command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / ".build" / "bench"


@dataclass(frozen=True)
class Measure:
    """Wall time in seconds, processor time in seconds, and peak memory in GB of one process."""

    wall: float
    processor: float
    memory: float


def measure(command: Sequence[str], *, environment: dict[str, str], log: Path) -> Measure:
    """Runs a command; its output goes to a file. Raises RuntimeError when it fails."""
    start = time.perf_counter()
    with log.open("w") as output:
        pid = os.posix_spawn(
            command[0],
            list(command),
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise RuntimeError(f"{' '.join(command[:3])} … failed, see {log}")
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)
