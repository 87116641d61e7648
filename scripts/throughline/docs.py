"""dbt's documentation with the card of each metric, as one page that any text may stand in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from throughline import dbt_process
from throughline.files import swap_in
from throughline.findings import refuse
from throughline.workspace import Workspace

Json = dict[str, Any]

DATA = ("manifest.json", "catalog.json")
"""What dbt puts into a script of the page, as it stands."""
STYLE = """<style>
.detail-body { white-space: normal !important; overflow-x: visible !important; }
.detail-value { overflow-wrap: anywhere; }
td[style*="ellipsis"] { white-space: normal !important; max-width: none !important; }
.table-responsive { max-height: none !important; }
.filename-ellip, .filename-ellip + .filename-normal { white-space: pre !important; }
</style></head>"""
"""dbt's page cuts off long cells and tables, and swallows spaces of labels."""
BOOKKEEPING = "bookkeeping"
"""A tag, by which the lineage leaves out what carries no number."""


def generate(workspace: Workspace, *, addresses: Mapping[str, str]) -> Path:
    """Makes the page and returns its place; raises UserError where dbt cannot.

    `addresses` are variables of dbt_project.yml that exposures have theirs from.
    """
    given = ("--vars", json.dumps(addresses)) if addresses else ()
    finished = subprocess.run(
        [dbt_process.program("dbt"), "--quiet", "docs", "generate", "--static", *given],
        cwd=workspace.project,
        env=dbt_process.environment(workspace),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if finished.returncode:
        fix = "Its output above says why."
        raise refuse("did not succeed", where="dbt docs generate", fix=fix)
    folder = workspace.artefacts
    page = folder / "static_index.html"
    text = page.read_text(encoding="utf-8")
    made = {name: (folder / name).read_text(encoding="utf-8") for name in DATA}
    manifest, catalog = (json.loads(data) for data in made.values())
    told = (with_cards(manifest), with_source_types(catalog, manifest))
    for (name, data), artefact in zip(made.items(), told, strict=True):
        if data not in text:
            fix = "Do not open it: text of the workspace could run as a script there."
            raise refuse(f"does not hold {name} as it was written", where=str(page), fix=fix)
        changed = json.dumps(artefact, ensure_ascii=False)
        text = text.replace(data, within_script(changed))
        swap_in(folder / name, changed)
    swap_in(page, text.replace("</head>", STYLE, 1))
    return page


def within_script(data: str) -> str:
    """The same JSON without the sign that could end the script, or begin a comment in it."""
    return data.replace("<", "\\u003c")


def with_cards(manifest: Json) -> Json:
    """The manifest with what a reviewer asks of a metric in its description: formula and card.

    A number that no semantic model can sum has its card on the model that computes it. Models that
    only say which rows a build makes anew get a tag.
    """
    bricks = {
        measure["name"]: (measure, model)
        for model in manifest["semantic_models"].values()
        for measure in model["measures"]
    }
    metrics = {}
    for key, metric in manifest["metrics"].items():
        if metric["name"] in bricks:
            measure, model = bricks[metric["name"]]
            fact = model["depends_on"]["nodes"][0].split(".")[-1]
            summed = measure["expr"] or measure["name"]
            lines = [f"- **Formula**: sum of `{summed}` over `{fact}`"]
        else:
            lines = list(card_lines(metric["config"]["meta"], ratio(metric, bricks)))
        metrics[key] = metric | {"description": paragraphs(metric["description"], *lines)}
    nodes = {key: with_tag(with_shapes(node)) for key, node in manifest["nodes"].items()}
    return manifest | {"metrics": metrics, "nodes": nodes}


def ratio(metric: Json, bricks: Mapping[str, tuple[Json, Json]]) -> str:
    """The bricks of a metric by name, and what they sum in words."""
    parts = metric["type_params"]
    named = [parts[role]["name"] for role in ("numerator", "denominator", "measure") if parts[role]]
    words = [bricks[name][0]["description"] or "" for name in named if name in bricks]
    formula = " / ".join(name.removeprefix("brick_") for name in named)
    return f"`{formula}`: {' / '.join(word.strip().rstrip('.') for word in words)}"


def with_shapes(node: Json) -> Json:
    """A model with the cards of the numbers that it computes; any other node as it is."""
    shapes = node["config"].get("meta", {}).get("shape_metrics", {})
    told = [node.get("description", "").strip()]
    told += [
        paragraphs(
            f"**{card['label']}** (`{name}`): {card['description']}",
            *card_lines(card, f"computed in `{node['name']}`"),
        )
        for name, card in shapes.items()
    ]
    return node | {"description": "\n\n".join(told)} if shapes else node


def with_tag(node: Json) -> Json:
    """A model that carries no number with the tag that says so; any other node as it is."""
    marked = node["config"].get("meta", {}).get("carries_no_number")
    return node | {"tags": [*node["tags"], BOOKKEEPING]} if marked else node


def card_lines(card: Json, formula: str) -> Iterator[str]:
    """The lines of a card for a reader; none where a metric has none."""
    if "unit" not in card:
        return
    better = {"up": "higher is better", "down": "lower is better", "zero": "nearer to 0 is better"}
    lines = {
        "Formula": formula,
        "Unit": f"{card['unit']}, counted in {card.get('unit_of_count')}",
        "Direction": f"{card.get('direction')}, {better.get(card.get('direction', ''), 'unknown')}",
        "Owner": f"{card.get('owner')}, approved by {card.get('approver')}",
        "Why": card.get("rationale"),
        "So what": card.get("so_what"),
        "Review by": card.get("review_by"),
    }
    yield from (f"- **{name}**: {line}" for name, line in lines.items() if line)


def paragraphs(description: str, *lines: str) -> str:
    """A description and, below it, a list."""
    return "\n\n".join(filter(None, [description.strip(), "\n".join(lines)]))


def with_source_types(catalog: Json, manifest: Json) -> Json:
    """The catalog with the types of the contract for sources that lie in no warehouse."""
    sources = {
        key: {
            "metadata": {
                "type": "contract",
                "database": source["database"],
                "schema": source["schema"],
                "name": source["identifier"],
                "comment": None,
                "owner": None,
            },
            "columns": {
                name: {"type": column["data_type"], "index": place, "name": name, "comment": None}
                for place, (name, column) in enumerate(source["columns"].items(), start=1)
                if column["data_type"]
            },
            "stats": {},
            "unique_id": key,
        }
        for key, source in manifest["sources"].items()
    }
    return catalog | {"sources": sources | catalog["sources"]}
