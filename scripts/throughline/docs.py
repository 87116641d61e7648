"""The documentation that dbt makes, as one page that any text may stand in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from throughline import dbt_process
from throughline.files import swap_in
from throughline.findings import refuse
from throughline.workspace import Workspace

DATA = ("manifest.json", "catalog.json")
"""What dbt puts into a script of the page, as it stands."""


def generate(workspace: Workspace) -> Path:
    """Makes the page and returns its place; raises UserError where dbt cannot."""
    finished = subprocess.run(
        [dbt_process.program("dbt"), "docs", "generate", "--static"],
        cwd=workspace.project,
        env=dbt_process.environment(workspace),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if finished.returncode:
        fix = "Its output above says why."
        raise refuse("did not succeed", where="dbt docs generate", fix=fix)
    folder = workspace.project / (workspace.variable("DBT_TARGET_PATH") or "target")
    page = folder / "static_index.html"
    text = page.read_bytes().decode("utf-8")
    for name in DATA:
        data = (folder / name).read_bytes().decode("utf-8")
        if data not in text:
            fix = "Do not open it: text of the workspace could run as a script there."
            raise refuse(f"does not hold {name} as it was written", where=str(page), fix=fix)
        text = text.replace(data, within_script(data))
    swap_in(page, text)
    return page


def within_script(data: str) -> str:
    """The same JSON without the sign that could end the script, or begin a comment in it."""
    return data.replace("<", "\\u003c")
