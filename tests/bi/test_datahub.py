"""The file of `throughline export datahub`, read by DataHub's own programs without a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / ".build/bi/datahub.json"


def datahub(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("datahub"), *arguments],
        env={**os.environ, "DATAHUB_TELEMETRY_ENABLED": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


def proposals(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_every_proposal_is_valid() -> None:
    run = datahub("check", "metadata-file", FILE)
    assert run.returncode == 0, run.stderr
    assert f"{len(proposals(FILE))} MCEs found - all valid" in run.stdout + run.stderr


def test_what_is_no_proposal_is_refused(tmp_path: Path) -> None:
    broken = proposals(FILE)
    for one in broken:
        one["aspect"]["json"].pop("owners", None)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken), encoding="utf-8")
    assert datahub("check", "metadata-file", path).returncode != 0


def test_an_ingestion_keeps_every_aspect(tmp_path: Path) -> None:
    """From the file to a file: all that an ingestion does but the sending."""
    taken = tmp_path / "taken.json"
    recipe = {
        "source": {"type": "file", "config": {"path": str(FILE)}},
        "sink": {"type": "file", "config": {"filename": str(taken)}},
    }
    path = tmp_path / "recipe.yml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    run = datahub("ingest", "-c", path)
    assert run.returncode == 0, run.stdout + run.stderr
    sent, kept = (
        {(one["entityUrn"], one["aspectName"]): one["aspect"]["json"] for one in proposals(place)}
        for place in (FILE, taken)
    )
    assert set(kept) == set(sent)
    for key, said in sent.items():
        if key[1] in ("glossaryTermInfo", "datasetProperties", "corpGroupInfo"):
            assert {name: kept[key][name] for name in said} == said
