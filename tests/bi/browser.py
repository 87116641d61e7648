"""A picture of a page, made by Chromium where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)


def program() -> str | None:
    """Chromium, as Debian names it, or None."""
    return shutil.which("chromium")


def shoot(url: str, picture: Path, *, width: int, height: int) -> None:
    """Draws a page that needs no outside host into a PNG."""
    found = program()
    assert found
    profile = picture.with_suffix(".profile")
    size = (f"--window-size={width},{height}", "--virtual-time-budget=60000")
    run = subprocess.run(
        [found, *QUIET, f"--user-data-dir={profile}", *size, f"--screenshot={picture}", url],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    shutil.rmtree(profile, ignore_errors=True)
    assert picture.exists(), run.stderr
