"""The house rules that a manifest and the files can prove, each as a function to its breaches."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

READS: Mapping[str, frozenset[str]] = {
    "config": frozenset({"config"}),
    "staging": frozenset({"staging", "config"}),
    "core": frozenset({"staging", "core", "config"}),
    # features of decisions stand in staging alone
    "quality": frozenset({"staging", "core", "quality", "config"}),
    "use": frozenset({"core", "use", "config"}),
    "metrics": frozenset({"core", "quality", "use", "metrics", "config"}),
    # what people did about an alert is read by alerts alone
    "alerts": frozenset({"staging", "core", "quality", "metrics", "alerts", "config"}),
    "lift": frozenset({"core", "metrics", "lift", "config"}),
    "marts": frozenset(
        {"core", "quality", "use", "metrics", "alerts", "lift", "builds", "marts", "config"}
    ),
    # the ledger notes what all of them have seen
    "builds": frozenset({"staging", "core", "quality", "use", "metrics", "lift", "builds"}),
}
MARTS_OF_A_FOLDER = 6
KEY_TESTS = frozenset({"grain", "unique"})
MODEL_KEYS = frozenset({"version", "models", "semantic_models", "unit_tests"})
GOVERNED_KEYS = MODEL_KEYS | {"seeds"}
# what one warehouse alone understands, or what asks it while compiling
DIALECT = re.compile(
    r"target\.type|\brun_query\b|::|\btry_cast\b|\bread_(?:parquet|csv)\b|(?<!\.)\bstrftime\b"
    r"|\bstring_agg\b|\bgroup by all\b|\border by all\b|\bqualify\b|\bilike\b",
    re.IGNORECASE,
)
# what asks the warehouse while dbt compiles, and the macros that may: no model, and no other macro
ASKING = re.compile(
    r"\b(rows_of|load_relation|get_relation|get_columns_in_relation|statement)\(|"
    r"\{%-? *macro +(\w+)"
)
ASKS = frozenset(
    {
        # for literals by which a scan skips what a build does not need
        *("as_of_span", "new_rows", "is_touched", "is_touched_staged_row", "reach_begins"),
        *("maturing_begins", "unit_days_begin"),
        # for where the last build ended, from where this one goes on
        *("build_ledger", "is_forward", "should_full_refresh", "touched_copies"),
        "built_rows",
        # for the columns that a governed table has, and the zone in which a host reads moments
        *("governed_rows", "check_host"),
        "note_replaced_deliveries",
        # for what experiments declare, since all else would be totalled for nothing
        *("declared_metrics", "declared_uptake", "has_trends", "has_covariates", "shifted_columns"),
        # for the conditions of the rules, which become SQL
        "condition_texts",
        # after the run
        "say_input_health",
        # by which they ask
        *("rows_of", "default__collect_freshness", "freshness_in_host"),
    }
)
SUMS = frozenset({"fct_bricks", "fct_metrics", "int_metric_periods"})
# the ledger counts decisions, which are no metric, also of the month that is not over; what an
# experiment is worth in a year takes a rate of denominators, which is no value
READS_SUMS = frozenset({"mart_value_ledger", "mart_experiment_decisions"})
COMMENT = re.compile(r"\{#.*?#\}|--[^\n]*", re.DOTALL)

Contracts = Mapping[str, Mapping[str, str]]
Rule = Callable[["House"], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class House:
    """A project: its root, its parsed manifest, the change log and the contracts of the release."""

    root: Path
    manifest: Mapping[str, Any]
    changelog: str
    released: Contracts

    def nodes(self, *kinds: str) -> Iterator[Mapping[str, Any]]:
        """Own nodes of the resource types, by name; a model that an export makes has no file."""
        for node in sorted(self.manifest["nodes"].values(), key=lambda node: str(node["name"])):
            if node["resource_type"] in kinds and (self.root / node["original_file_path"]).exists():
                yield node


def grain_is_said_and_tested(house: House) -> Iterator[str]:
    """The first line, the first sentence of the description and a key test tell one grain."""
    tested = {
        node["attached_node"]
        for node in house.manifest["nodes"].values()
        if node.get("test_metadata", {}).get("name") in KEY_TESTS
    }
    for node in house.nodes("model"):
        name = node["name"]
        line = (house.root / node["original_file_path"]).read_text().partition("\n")[0]
        description = " ".join(node["description"].split())
        grain = re.split(r"(?<=\.) ", description)[0]
        if not line.startswith("-- One row per "):
            yield f"{name}: the first line is not '-- One row per …'"
        elif line != f"-- {grain}":
            yield f"{name}: the description does not open with the first line of the model"
        if node["unique_id"] not in tested and not node["config"]["meta"].get("without_key"):
            yield f"{name}: no grain or unique test, and no meta without_key that says why"


def one_yml_per_model(house: House) -> Iterator[str]:
    """A model is described in the yml of its stem, a seed in that of its governed table."""
    for node in house.nodes("model", "seed"):
        name, is_model = node["name"], node["resource_type"] == "model"
        patch = (node["patch_path"] or "").partition("://")[2]
        folder = Path(node["original_file_path"]).parent if is_model else Path("models/config")
        stem = name if is_model else f"cfg_{name}"
        if patch != (folder / f"{stem}.yml").as_posix():
            yield f"{name}: not described in {folder.as_posix()}/{stem}.yml"
            continue
        held = yaml.safe_load((house.root / patch).read_text())
        kind = "models" if is_model else "seeds"
        others = {entry["name"] for entry in held.get(kind, [])}
        others |= {entry["model"] for entry in held.get("unit_tests", [])}
        others |= {
            re.sub(r"ref\('(\w+)'\)", r"\1", entry["model"])
            for entry in held.get("semantic_models", [])
        }
        others |= held.keys() - (GOVERNED_KEYS if stem.startswith("cfg_") else MODEL_KEYS)
        for other in sorted(others - {name}):
            yield f"{name}: its yml also holds {other}"


def layers_point_one_way(house: House) -> Iterator[str]:
    """Staging reads sources, and no layer reads one that comes after it."""
    for node in house.nodes("model"):
        layer = _layer(node)
        if layer not in READS:
            yield f"{node['name']}: {layer} is not a layer"
            continue
        if node["sources"] and layer != "staging":
            yield f"{node['name']}: reads a source, which staging alone may"
        for parent in _parents(house, node):
            is_ruled_elsewhere = (layer, _layer(parent)) == ("marts", "staging")
            if _layer(parent) not in READS[layer] and not is_ruled_elsewhere:
                yield f"{node['name']}: {layer} may not read {parent['name']} of {_layer(parent)}"


def marts_read_no_staging(house: House) -> Iterator[str]:
    """What people read has passed through core."""
    for node in house.nodes("model"):
        for parent in _parents(house, node):
            if _layer(node) == "marts" and _layer(parent) == "staging":
                yield f"{node['name']}: a mart reads {parent['name']} of staging"


def dialect_stays_with_the_warehouses(house: House) -> Iterator[str]:
    """No dialect and no `::` outside macros/warehouses, no question outside the macros named."""
    for place, text in _sql_outside_warehouses(house):
        for number, line in enumerate(text.splitlines(), 1):
            for word in DIALECT.findall(line):
                yield f"{place}:{number}: {word} belongs into macros/warehouses"
    yield from _questions(house)


def _questions(house: House) -> Iterator[str]:
    asked = set()
    for place, text in _sql_outside_warehouses(house):
        macro = None
        for number, line in enumerate(text.splitlines(), 1):
            for word, begun in ASKING.findall(line):
                if begun:
                    macro = begun
                    continue
                asked.add(macro)
                if macro not in ASKS:
                    by = macro or "a model"
                    yield f"{place}:{number}: {by} asks the warehouse by {word}, not in ASKS"
    for name in sorted(ASKS - asked):
        yield f"ASKS names {name}, which does not ask the warehouse"


def _sql_outside_warehouses(house: House) -> Iterator[tuple[str, str]]:
    """Path and text of models and macros, comments blanked."""
    paths = [*(house.root / "models").rglob("*.sql"), *(house.root / "macros").rglob("*.sql")]
    for path in sorted(paths):
        place = path.relative_to(house.root)
        if place.parts[:2] == ("macros", "warehouses"):
            continue
        # a comment keeps its lines, so that the line number stays right
        text = COMMENT.sub(lambda found: "\n" * found.group().count("\n"), path.read_text())
        yield place.as_posix(), text


def marts_read_values(house: House) -> Iterator[str]:
    """A mart over metrics reads what may be read of them; sums are for those in `READS_SUMS`."""
    for node in house.nodes("model"):
        for parent in _parents(house, node) if _layer(node) == "marts" else []:
            if parent["name"] in SUMS and node["name"] not in READS_SUMS:
                yield f"{node['name']}: reads sums of {parent['name']}, not fct_metric_values"


def contract_changes_are_told(house: House) -> Iterator[str]:
    """Marts are public, owned and under contract; a change of one has its row in the change log."""
    for node in house.nodes("model"):
        is_owned = node["access"] == "public" and node["group"] and node["contract"]["enforced"]
        if _layer(node) == "marts" and not is_owned:
            yield f"{node['name']}: a mart is public, with a group and an enforced contract"
    unreleased = house.changelog.partition("## [Unreleased]")[2].partition("\n## ")[0]
    rows = [line for line in unreleased.splitlines() if line.startswith("|")]
    now = contracts(house)
    for mart in sorted(now.keys() | house.released.keys()):
        of_mart = " ".join(row for row in rows if f"`{mart}`" in row)
        if mart not in house.released or mart not in now:
            changed = [] if of_mart else [mart]
        else:
            pairs = now[mart].items() ^ house.released[mart].items()
            changed = sorted({name for name, _ in pairs if f"`{name}`" not in of_mart})
        for name in changed:
            yield f"{mart}: {name} changed, and no row of CHANGELOG's [Unreleased] names it"


def marts_stand_by_question(house: House) -> Iterator[str]:
    """A folder of marts is a reader's question with an owner: few marts, and the group its name."""
    folders: dict[str, list[str]] = {}
    for node in house.nodes("model"):
        if _layer(node) == "marts":
            folder = node["fqn"][-2]
            folders.setdefault(folder, []).append(node["name"])
            if node["group"] != folder:
                yield f"{node['name']}: stands in {folder} and belongs to group {node['group']}"
    for folder, marts in sorted(folders.items()):
        if len(marts) > MARTS_OF_A_FOLDER:
            yield f"{folder}: holds {len(marts)} marts, at most {MARTS_OF_A_FOLDER} fit a question"


RULES: tuple[Rule, ...] = (
    grain_is_said_and_tested,
    one_yml_per_model,
    layers_point_one_way,
    marts_read_no_staging,
    dialect_stays_with_the_warehouses,
    marts_read_values,
    contract_changes_are_told,
    marts_stand_by_question,
)


def contracts(house: House) -> Contracts:
    """Column and type of every mart under contract."""
    return {
        node["name"]: {
            column["name"]: str(column["data_type"]).lower() for column in node["columns"].values()
        }
        for node in house.nodes("model")
        if _layer(node) == "marts" and node["contract"]["enforced"]
    }


def read(root: Path, *, manifest: Path) -> House:
    """The house at a root, with the manifest that `dbt parse` wrote."""
    return House(
        root=root,
        manifest=json.loads(manifest.read_text()),
        changelog=(root / "CHANGELOG.md").read_text(),
        released=json.loads((root / "tests/contracts.json").read_text()),
    )


def _layer(node: Mapping[str, Any]) -> str:
    return "config" if node["resource_type"] == "seed" else str(node["fqn"][1])


def _parents(house: House, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    held = house.manifest["nodes"]
    return [held[key] for key in sorted(node["depends_on"]["nodes"]) if key in held]


if __name__ == "__main__":
    # at a release: throughline exec -- python tests/python/house_rules.py > tests/contracts.json
    # the shell has emptied the file by now, so it is not read
    root = Path(__file__).resolve().parents[2]
    manifest = json.loads((root / "target" / "manifest.json").read_text())
    taken = contracts(House(root=root, manifest=manifest, changelog="", released={}))
    json.dump(taken, sys.stdout, indent=2)
    print()
