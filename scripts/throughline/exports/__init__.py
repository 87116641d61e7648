"""Files for other tools, made from what dbt wrote down of the project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from throughline.findings import refuse
from throughline.workspace import Workspace

Json = dict[str, Any]

OF_A_CARD = {"unit", "owner", "tier", "direction", "rationale", "so_what"}
"""What the card of every governed metric says; other metrics may have notes of their own."""


def artefact(workspace: Workspace, name: str) -> Json:
    """A file that dbt wrote when it last read the project; raises UserError where it did not."""
    path = workspace.artefacts / name
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        what, fix = "dbt has not written it", "Let it: throughline exec -- dbt parse"
        raise refuse(what, where=workspace.shown(path), fix=fix) from None
    return found


def cards(manifest: Json) -> Iterator[tuple[Json, Json]]:
    """Each governed metric, with its card, by name."""
    for metric in sorted(manifest["metrics"].values(), key=lambda metric: str(metric["name"])):
        card = metric["config"].get("meta", {})
        if card.keys() >= OF_A_CARD:
            yield metric, card
