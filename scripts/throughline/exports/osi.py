"""The semantic model as a document of Open Semantic Interchange (OSI).

dbt writes one of its own. Its ratios fail, or are infinite, where nothing is counted, and Postgres
cuts off their fractions; it leaves out to which dataset a column belongs, and what a card says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import sqlglot
from sqlglot import exp

from throughline import __version__
from throughline.exports import Json, artefact, cards
from throughline.findings import refuse
from throughline.workspace import Workspace

VENDOR = "COMMON"
"""The vendor of extensions that the specification keeps for all who have no name there."""
SCHEMA = "osi.schema.json"
CARD = {
    "label": "label",
    "owner": "owner",
    "approver": "approver",
    "unit": "unit",
    "unit_of_count": "unit_of_count",
    "tier": "tier",
    "pillar": "pillar",
    "direction": "direction",
    "reason": "rationale",
    "next_step": "so_what",
    "review_by": "review_by",
}
"""What an extension says of a metric, and where its card says it."""
DIVISIONS = (exp.Div, exp.IntDiv, exp.Mod)
# sqlglot calls the type of the standard DOUBLE, which Postgres does not know
DOUBLE = exp.DataType(this=exp.DataType.Type.USERDEFINED, kind="DOUBLE PRECISION")


def export(workspace: Workspace) -> str:
    """The document as JSON; raises UserError where dbt wrote none, or it breaks our schema."""
    told = artefact(workspace, "osi_document.json")
    document = completed(told, artefact(workspace, "manifest.json"))
    for problem in problems(document):
        where = workspace.shown(workspace.artefacts / "osi_document.json")
        fix = "Name the metric and your version of dbt in an issue."
        raise refuse(f"cannot be completed: {problem}", where=where, fix=fix)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def completed(told: Json, manifest: Json) -> Json:
    """dbt's document with divisions that hold, datasets at columns and the cards of metrics.

    Without metrics whose number no sum gives: their expression would be another number.
    """
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    known = {metric["name"]: extension(metric, card) for metric, card in cards(manifest)}
    homes = {
        measure["name"]: model["name"]
        for model in manifest["semantic_models"].values()
        for measure in model["measures"]
    }

    def complete(metric: Json) -> Json:
        name = metric["name"]
        for version in metric["expression"]["dialects"]:
            tree = sqlglot.parse_one(version["expression"])
            qualify(tree, metrics[name], metrics, homes)
            version["expression"] = guarded(tree).sql()
        datasets = sorted({*datasets_of(metrics[name], metrics, homes)})
        said = known.get(name, {}) | {"datasets": datasets}
        synonyms = metrics[name]["config"].get("meta", {}).get("synonyms")
        more = {"ai_context": {"synonyms": synonyms}} if synonyms else {}
        return metric | more | {"custom_extensions": [extended(said)]}

    document: Json = json.loads(json.dumps(told))
    document["vendors"] = [VENDOR]
    for model in document["semantic_model"]:
        model["name"] = manifest["metadata"]["project_name"]
        sums = [one for one in model.get("metrics") or () if not shape(metrics[one["name"]])]
        model["metrics"] = [complete(metric) for metric in sums]
        model["custom_extensions"] = [extended({"throughline_version": __version__})]
    return document


def shape(metric: Json) -> str | None:
    """How a number comes about that is no sum of rows, such as customers counted once."""
    found: str | None = metric["config"].get("meta", {}).get("shape")
    return found


def extension(metric: Json, card: Json) -> Json:
    """What the card of a metric says, where it says anything."""
    said = {**card, "label": metric["label"]}
    return {name: said[key] for name, key in CARD.items() if said.get(key)}


def extended(said: Json) -> Json:
    """An extension, which the specification has as JSON within a text."""
    return {"vendor_name": VENDOR, "data": json.dumps({"throughline": said}, ensure_ascii=False)}


def guarded(tree: exp.Expr) -> exp.Expr:
    """The expression, where a division by zero gives NULL and one of whole numbers a fraction."""
    for division in list(tree.find_all(*DIVISIONS)):
        left, right = bare(division.this), bare(division.expression)
        if isinstance(division, exp.Div) and not isinstance(left, (exp.Cast, exp.Div)):
            division.set("this", exp.Cast(this=left, to=DOUBLE.copy()))
        if not cannot_be_zero(right):
            division.set("expression", exp.Nullif(this=right, expression=exp.Literal.number(0)))
    return tree


def cannot_be_zero(divisor: exp.Expr) -> bool:
    """Whether it is a number other than 0, or NULL where it would be 0."""
    if isinstance(divisor, exp.Nullif):
        return is_zero(divisor.expression)
    return isinstance(divisor, exp.Literal) and not divisor.is_string and not is_zero(divisor)


def is_zero(tree: exp.Expr) -> bool:
    return isinstance(tree, exp.Literal) and not tree.is_string and float(tree.name) == 0


def bare(tree: exp.Expr) -> exp.Expr:
    """An expression that stands as an argument, where it needs no parentheses."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree


def qualify(tree: exp.Expr, metric: Json, metrics: Json, homes: Json) -> None:
    """Names the dataset of each column; a ratio may have two, one on each side."""
    tree = bare(tree)
    if metric["type"] == "ratio" and isinstance(tree, exp.Div):
        for side, role in ((tree.this, "numerator"), (tree.expression, "denominator")):
            qualify(side, metrics[metric["type_params"][role]["name"]], metrics, homes)
        return
    found = {*datasets_of(metric, metrics, homes)}
    if len(found) == 1:
        (home,) = found
        for column in tree.find_all(exp.Column):
            if not column.table:
                column.set("table", exp.to_identifier(home))


def datasets_of(metric: Json, metrics: Json, homes: Json) -> Iterator[str]:
    """The datasets that a metric sums over."""
    params = metric["type_params"]
    aggregated: Json = params.get("metric_aggregation_params") or {}
    if params.get("measure"):
        yield homes[params["measure"]["name"]]
    elif aggregated:
        yield aggregated["semantic_model"]
    inputs = [params.get("numerator"), params.get("denominator"), *(params.get("metrics") or ())]
    for one in filter(None, inputs):
        yield from datasets_of(metrics[one["name"]], metrics, homes)


def own_schema() -> Json:
    """Our schema of the document, which is no official one."""
    text = files("throughline.exports").joinpath(SCHEMA).read_text(encoding="utf-8")
    found: Json = json.loads(text)
    return found


def problems(document: Json) -> Iterator[str]:
    """Where the document, or what its extensions say, breaks our schema."""
    schema = own_schema()
    for part, found in ((schema, document), *_extensions(schema, document)):
        for error in jsonschema.Draft202012Validator(part).iter_errors(found):
            yield f"{error.json_path}: {error.message}"


def _extensions(schema: Json, document: Json) -> Iterator[tuple[Json, Any]]:
    """What is said of each metric, with the part of the schema that it keeps."""
    part = {"$ref": "#/$defs/said_of_metric", "$defs": schema["$defs"]}
    for model in document["semantic_model"]:
        for metric in model.get("metrics", ()):
            for one in metric.get("custom_extensions", ()):
                yield part, json.loads(one["data"])["throughline"]
