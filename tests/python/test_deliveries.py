"""The README's own example, delivered in parts, with the data tests after each build."""

from __future__ import annotations

import random
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import histories
from building import ROOT, Project, query, seed_row
from throughline import seeds
from throughline.workspace import create

AS_OF = "2026-07-01 00:00:00"


@pytest.mark.slow
def test_the_example_of_the_readme_in_three_deliveries(tmp_path: Path) -> None:
    project = Project.without_comments(tmp_path / "project")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    settings = readme.split("# ../my_company/vars.yml\n")[1].split("```")[0]
    places = {"prediction_logs": "exports/scores-{}.csv"}
    headers = {name: spec.header for name, spec in seeds.read_specs(project.root).items()}
    registry = seed_row(
        "model_registry",
        **{
            "model_id": "retention",
            "model_name": "Retention",
            "product": "CRM",
            "task": "binary",
            "team": "growth",
            "charter": "Keep customers",
            "label_outcome": "revenue",
            "amount_outcome": "revenue",
            "decision_threshold": "0.5",
            "horizon_days": "14",
            "label_delay_days": "0",
            "negative_on_absence": "true",
            "owner": "Ann",
            "rationale": "why",
        },
    )
    folder = project.root / "company"
    create(folder, project=project.root, headers=headers)
    (folder / "vars.yml").write_text(settings, encoding="utf-8")
    with (folder / "seeds/model_registry.csv").open("a", encoding="utf-8") as file:
        file.write(registry + "\n")
    for part in range(3):
        for table, (header, *rows) in readme_rows().items():
            share = len(rows) // 3 + 1
            place = folder / "raw" / places.get(table, table + "/{}.csv").format(part)
            place.parent.mkdir(parents=True, exist_ok=True)
            lines = [",".join(row) for row in (header, *rows[part * share : (part + 1) * share])]
            place.write_text("\n".join([*lines, ""]), encoding="utf-8")
        project.build_soundly(folder, as_of=AS_OF)
    # built whole where dbt has read the project already
    in_parts = project.root / "in_parts"
    shutil.copytree(folder, in_parts)
    (folder / "warehouse.duckdb").unlink()
    project.build_soundly(folder, as_of=AS_OF)
    assert histories.differences(in_parts, folder) == []
    assert query(folder, "select count(*) as n from fct_decisions")["n"][0] == 120


def readme_rows() -> dict[str, list[list[str]]]:
    """Sixty days in the columns of the README's example: a header, then rows as they arrive."""
    draw = random.Random(4)
    start = datetime(2026, 3, 1)
    scores = [["request_id", "ts", "customer", "agent", "probability"]]
    clicks = [["click_id", "what", "clicked_at", "agent", "request_id"]]
    sales = [["sale_id", "request_id", "usd", "sold_at"]]
    for number in range(120):
        at = start + timedelta(hours=12 * number)
        seconds = str(int(at.replace(tzinfo=timezone.utc).timestamp()))
        # some scores are of nobody's desk: an optional column of a real log is not always filled
        agent = f"agent{number % 7}" if number % 3 else ""
        scores.append([f"r{number}", seconds, f"c{number % 40}", agent, f"{draw.random():.3f}"])
        if number % 2:
            what = draw.choice(["accepted", "rejected"])
            clicks.append(
                [
                    f"k{number}",
                    what,
                    f"{at + timedelta(hours=1)}",
                    f"agent{number % 7}",
                    f"r{number}",
                ]
            )
        if number % 4 == 0:
            sold = at + timedelta(days=draw.randrange(1, 9))
            sales.append([f"s{number}", f"r{number}", f"{draw.uniform(5, 90):.2f}", f"{sold}"])
    return {"prediction_logs": scores, "usage_events": clicks, "business_outcomes": sales}
