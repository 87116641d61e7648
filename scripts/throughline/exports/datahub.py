"""What a catalogue shows, as a file that DataHub ingests: metrics as terms, marts with owners."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from throughline import docs, publish
from throughline.exports import Json, artefact, cards
from throughline.workspace import Workspace

STAMP = {"time": 0, "actor": "urn:li:corpuser:throughline"}
"""Who changed it, and when: the same each time, so that the same project gives the same file."""
SHOWN = {
    "unit": "unit",
    "unit_of_count": "unit_of_count",
    "direction": "direction",
    "tier": "tier",
    "pillar": "pillar",
    "approver": "approver",
    "reason": "rationale",
    "next_step": "so_what",
    "review_by": "review_by",
}
"""What a term says beside its definition, and where the card says it."""
HOLD_ALL = ("mart_scorecard", "mart_metric_months", "mart_metric_timeline")
"""The marts that have a value of every governed metric."""
TYPES = {
    "double": "NumberType",
    "bigint": "NumberType",
    "integer": "NumberType",
    "boolean": "BooleanType",
    "date": "DateType",
    "timestamp": "TimeType",
}


@dataclass(frozen=True, kw_only=True)
class Term:
    """A governed metric as a term of the glossary."""

    name: str
    label: str
    definition: str
    card: Json

    @property
    def urn(self) -> str:
        return f"urn:li:glossaryTerm:throughline.{self.name}"


def export(workspace: Workspace) -> str:
    """The proposals as JSON, for `datahub ingest` with a source of type `file`."""
    manifest = artefact(workspace, "manifest.json")
    found = list(proposals(workspace, manifest))
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def proposals(workspace: Workspace, manifest: Json) -> Iterator[Json]:
    """Each aspect of owners, terms and datasets."""
    found = list(terms(manifest))
    groups = {key: group["owner"]["name"] for key, group in manifest["groups"].items()}
    datasets = list(readable(workspace, manifest))
    names = {str(term.card["owner"]) for term in found}
    names |= {
        groups[f"group.{node['package_name']}.{node['group']}"] for _, node in owned(datasets)
    }
    for name in sorted(names):
        info: Json = {"displayName": name, "admins": [], "members": [], "groups": []}
        yield aspect("corpGroup", group_urn(name), "corpGroupInfo", info)
    node = "urn:li:glossaryNode:throughline"
    told = "Governed metrics: what each means, whose it is, and what to do when it moves."
    info = {"name": "Throughline metrics", "definition": told}
    yield aspect("glossaryNode", node, "glossaryNodeInfo", info)
    for term in found:
        info = {
            "name": term.label,
            "definition": term.definition,
            "termSource": "INTERNAL",
            "parentNode": node,
            "customProperties": {
                name: str(term.card[key]) for name, key in SHOWN.items() if term.card.get(key)
            },
        }
        yield aspect("glossaryTerm", term.urn, "glossaryTermInfo", info)
        yield aspect("glossaryTerm", term.urn, "ownership", ownership(str(term.card["owner"])))
    for place, model in datasets:
        urn = f"urn:li:dataset:(urn:li:dataPlatform:{workspace.kind},{place},PROD)"
        named = {"name": model["alias"], "description": model["description"].strip()}
        yield aspect("dataset", urn, "datasetProperties", named)
        yield aspect("dataset", urn, "schemaMetadata", schema(workspace.kind, place, model))
        if model["group"]:
            owner = groups[f"group.{model['package_name']}.{model['group']}"]
            yield aspect("dataset", urn, "ownership", ownership(owner))
        if model["name"] in HOLD_ALL:
            held = {"terms": [{"urn": term.urn} for term in found], "auditStamp": STAMP}
            yield aspect("dataset", urn, "glossaryTerms", held)


def readable(workspace: Workspace, manifest: Json) -> Iterator[tuple[str, Json]]:
    """The published models, by their place in the warehouse."""
    nodes = {
        node["alias"]: node
        for node in manifest["nodes"].values()
        if (node["resource_type"], node["package_name"]) == ("model", publish.PACKAGE)
    }
    for relation in publish.public(workspace):
        yield f"{relation.schema}.{relation.name}", nodes[relation.name]


def owned(datasets: list[tuple[str, Json]]) -> list[tuple[str, Json]]:
    return [(place, model) for place, model in datasets if model["group"]]


def terms(manifest: Json) -> Iterator[Term]:
    """The governed metrics: sums of facts, and numbers that a model computes."""
    bricks = {
        measure["name"]: (measure, model)
        for model in manifest["semantic_models"].values()
        for measure in model["measures"]
    }
    for metric, card in cards(manifest):
        text = f"{metric['description'].strip()} Formula: {docs.ratio(metric, bricks)}."
        yield Term(name=metric["name"], label=metric["label"], definition=text, card=card)
    for node in manifest["nodes"].values():
        for name, card in sorted(node["config"].get("meta", {}).get("shape_metrics", {}).items()):
            text = f"{card['description'].strip()} Computed in `{node['name']}`."
            yield Term(name=name, label=card["label"], definition=text, card=card)


def schema(platform: str, place: str, model: Json) -> Json:
    """The columns of a model, as its contract has them."""
    fields = [
        {
            "fieldPath": column["name"],
            "nullable": True,
            "description": column["description"].strip(),
            "type": {"type": {f"com.linkedin.schema.{kind(column['data_type'])}": {}}},
            "nativeDataType": column["data_type"] or "unknown",
            "recursive": False,
            "isPartOfKey": False,
        }
        for column in model["columns"].values()
    ]
    return {
        "schemaName": place,
        "platform": f"urn:li:dataPlatform:{platform}",
        "version": 0,
        "hash": "",
        "platformSchema": {"com.linkedin.schema.OtherSchema": {"rawSchema": ""}},
        "fields": fields,
    }


def kind(data_type: str | None) -> str:
    return TYPES.get((data_type or "").lower(), "StringType")


def ownership(name: str) -> Json:
    owner = {"owner": group_urn(name), "type": "BUSINESS_OWNER"}
    return {"owners": [owner], "ownerTypes": {}, "lastModified": STAMP}


def group_urn(name: str) -> str:
    """Of a team; signs that a URN has a meaning for are left out."""
    return f"urn:li:corpGroup:{re.sub(r'[^0-9A-Za-z]+', '-', name).strip('-').lower()}"


def aspect(entity: str, urn: str, name: str, value: Any) -> Json:
    """A proposal of DataHub: what is said of one thing."""
    return {
        "entityType": entity,
        "entityUrn": urn,
        "changeType": "UPSERT",
        "aspectName": name,
        "aspect": {"json": value},
    }
