"""The drawn boards as people see them: whole, legible, harmless, and equal to the marts."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from companies import CHROMIUM, HOSTILE, MANY, ROOT, SCRATCH, fresh, rows, throughline

FORMS = {
    "": (1300, "light"),
    "dark": (1300, "dark"),
    "phone": (390, "light"),
    "phone-dark": (390, "dark"),
}
SMALLEST = 11
"""Pixels of a letter that can still be read."""
CONTRAST = 4.5
"""Of text against its ground, at least, as WCAG 2.2 AA asks."""
OVER_DAYS = ("money", "chain", "quality", "drift", "adoption", "days")
"""Charts along time."""
MONTH = re.compile(r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)")
JOINER = "\u2060"
LOOK = Path(__file__).with_name("look.js").read_text()


@pytest.fixture(scope="module")
def demo() -> Path:
    """The boards of the demo company; BUILT_DEMO names a workspace where it is built."""
    built = os.environ.get("BUILT_DEMO")
    workspace = ROOT / built if built else SCRATCH / "demo"
    if not built:
        size = ("--predictions", "60000", "--days", "120", "--seed", "7")
        throughline(workspace, "simulate", *size, "--out", str(workspace))
        throughline(workspace, "build", "--no-tests")
    print(throughline(workspace, "boards"))
    return workspace


@pytest.fixture(scope="module")
def lone() -> Path:
    """A company that delivers prediction logs and nothing else."""
    workspace = fresh("lone", ["churn"], settings="inputs: [prediction_logs]\n")
    throughline(workspace, "build", "--no-tests")
    throughline(workspace, "boards", "--no-pdf")
    return workspace


@pytest.fixture(scope="module")
def many() -> Path:
    """Thirty models, some of whose names are hostile, with remarks of the same kind."""
    workspace = fresh("many", MANY, settings="inputs: [prediction_logs, business_outcomes]\n")
    throughline(workspace, "build", "--no-tests")
    throughline(workspace, "boards", "--no-pdf")
    return workspace


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; without it the tests that look at pages are skipped, and say so."""
    if CHROMIUM is None:
        if os.environ.get("THROUGHLINE_REQUIRE_BROWSER"):
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium, so NO PAGE WAS LOOKED AT: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Seen:
    """A page as the browser showed it."""

    file: Path
    look: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """All texts of the page, without what nobody sees."""
        return " ".join(text["text"] for text in self.look["texts"]).replace(JOINER, "")


def opened(browser: Browser, folder: Path, files: list[Path]) -> Iterator[Seen]:
    """Opens pages one after the other; what they ask of other places is a fault."""
    for form, (width, scheme) in FORMS.items():
        chosen = [file for file in files if file.parent == (folder / form if form else folder)]
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=1
        )
        page = context.new_page()
        faults: list[str] = []
        page.on(
            "console",
            lambda message, f=faults: f.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error, f=faults: f.append(str(error)))
        page.on(
            "dialog",
            lambda dialog, f=faults: (f.append(f"dialog {dialog.message}"), dialog.dismiss()),
        )
        page.on(
            "request",
            lambda request, f=faults: (
                None
                if request.url.startswith((folder.resolve().as_uri(), "data:"))
                else f.append(f"asked for {request.url}")
            ),
        )
        for file in chosen:
            faults.clear()
            show(page, file)
            yield Seen(file=file, look=page.evaluate(LOOK), faults=list(faults))
        context.close()


def show(page: Page, file: Path) -> None:
    page.goto(file.resolve().as_uri())
    page.evaluate("document.fonts.ready")


def pages(workspace: Path) -> list[Path]:
    return sorted((workspace / "boards").rglob("*.html"))


def some(workspace: Path) -> list[Path]:
    """The overview, the alerts, and a few of each other kind, in each form."""
    folder, chosen = workspace / "boards", []
    for form in FORMS:
        for kind, count in (
            ("overview", 1),
            ("alerts", 1),
            ("model_", 4),
            ("experiment_", 4),
            ("metric_", 6),
        ):
            chosen += sorted((folder / form).glob(f"{kind}*.html"))[:count]
    return chosen


@pytest.fixture(scope="module")
def demo_pages(browser: Browser, demo: Path) -> list[Seen]:
    return list(opened(browser, demo / "boards", some(demo)))


def test_every_model_experiment_and_metric_has_a_board_in_each_form(demo: Path) -> None:
    asked = {
        *(f"model_{name}" for (name,) in rows(demo, "select model_id from mart_models")),
        *(
            f"experiment_{name}"
            for (name,) in rows(demo, "select experiment_id from mart_experiment_decisions")
        ),
        *(f"metric_{name}" for (name,) in rows(demo, "select metric from mart_metric_catalog")),
        *("overview", "alerts"),
    }
    for form in FORMS:
        folder = demo / "boards" / form
        found = {file.stem for file in folder.glob("*.html")} - {"index"}
        assert found == asked, form
    printed = {file.stem for file in (demo / "boards" / "pdf").glob("*.pdf")}
    assert printed == asked
    assert all(
        file.read_bytes().startswith(b"%PDF") for file in (demo / "boards" / "pdf").iterdir()
    )


def test_pages_ask_nothing_of_other_places_and_report_no_error(demo_pages: list[Seen]) -> None:
    assert len(demo_pages) == 4 * 16
    assert {seen.file.name: seen.faults for seen in demo_pages if seen.faults} == {}


def test_text_is_large_enough_and_stands_out(demo_pages: list[Seen]) -> None:
    small, pale = [], []
    for seen in demo_pages:
        for text in seen.look["texts"]:
            where = f"{seen.file.parent.name}/{seen.file.name}: {text['text'][:40]}"
            if text["size"] < SMALLEST - 0.01:
                small.append(f"{where} {text['size']:.1f} px")
            if text["seen"] > 0 and text["contrast"] < CONTRAST:
                pale.append(f"{where} {text['contrast']:.1f}")
    assert (small[:20], pale[:20]) == ([], [])


def test_pages_are_as_wide_as_their_screen_and_no_text_lies_on_another(
    demo_pages: list[Seen],
) -> None:
    wide, cut, crossed = [], [], []
    for seen in demo_pages:
        form = seen.file.parent.name if seen.file.parent.name in FORMS else ""
        if seen.look["width"] > FORMS[form][0]:
            wide.append(f"{seen.file}: {seen.look['width']}")
        cut += [
            f"{seen.file}: {text['text'][:30]}"
            for text in seen.look["texts"]
            if text["x"] < 0 or text["x"] + text["w"] > FORMS[form][0]
        ]
        crossed += [
            f"{seen.file.parent.name}/{seen.file.name}: {pair}"
            for pair in overlaps(seen.look["texts"])
        ]
    assert (wide, cut[:20], crossed[:20]) == ([], [], [])


def overlaps(texts: list[dict[str, Any]]) -> list[str]:
    """Pairs of visible texts that cover each other by more than a sixth of the smaller one."""
    found = []
    shown = sorted((text for text in texts if text["seen"] > 0), key=lambda text: text["y"])
    for index, one in enumerate(shown):
        for other in shown[index + 1 :]:
            if other["y"] >= one["y"] + one["h"]:
                break
            across = min(one["x"] + one["w"], other["x"] + other["w"]) - max(one["x"], other["x"])
            down = min(one["y"] + one["h"], other["y"] + other["h"]) - max(one["y"], other["y"])
            least = min(one["w"] * one["h"], other["w"] * other["h"])
            if (
                across > 0
                and down > 0
                and across * down > least / 6
                and one["text"] != other["text"]
            ):
                found.append(f"{one['text'][:30]} | {other['text'][:30]}")
    return found


def test_charts_are_named_for_who_does_not_see_them(demo_pages: list[Seen]) -> None:
    for seen in demo_pages:
        assert seen.look["title"], seen.file
        unnamed = [chart["id"] for chart in seen.look["charts"] if not chart["label"].strip()]
        assert unnamed == [], seen.file
        assert '<html lang="en"' in seen.file.read_text(encoding="utf-8")


def test_charts_over_days_say_which_days(demo_pages: list[Seen]) -> None:
    found = 0
    for seen in demo_pages:
        for chart in seen.look["charts"]:
            over = [name for name in OVER_DAYS if re.search(rf"\b{name}\b", chart["id"])]
            if over and chart["type"] != "callout":
                assert MONTH.search(chart["text"]), (seen.file, chart["id"])
                found += 1
    assert found > 40


def test_every_link_leads_to_a_page(demo: Path, lone: Path, many: Path) -> None:
    for workspace in (demo, lone, many):
        count = 0
        for file in pages(workspace):
            text = file.read_text(encoding="utf-8")
            for link in re.findall(r'(?:href|src)="([^"#][^"]*)"', text):
                target = file.parent / unquote(urlsplit(link).path)
                assert target.resolve().is_file(), f"{file}: {link}"
                count += 1
        assert count > len(pages(workspace))


def test_numbers_on_the_page_are_those_of_the_marts(demo: Path, demo_pages: list[Seen]) -> None:
    overview = {
        seen.file.parent.name: seen.words
        for seen in demo_pages
        if seen.file.name == "overview.html"
    }
    values = rows(
        demo,
        "select model_name, value_amount, value_through_date, currency from mart_models",
    )
    assert len(values) == 4
    for name, value, day, currency in values:
        # windows differ by model, so the wide table says where each ends
        for form in ("boards", "dark"):
            assert day is None or f"{day:%-d %b %Y}" in overview[form]
        for form, words in overview.items():
            assert str(name) in words, form
            assert (f"{value:,.0f} {currency}" if value is not None else "not valued") in words, (
                form
            )
    lifts = rows(
        demo,
        """
        select distinct experiment_id, label, relative_lift, relative_ci_low, relative_ci_high
        from mart_experiments
        inner join mart_experiment_decisions using (experiment_id, variant, as_of, method, totals)
        inner join mart_metric_catalog using (metric)
        where segment_name = 'all' and relative_lift is not null
    """,
    )
    assert len(lifts) > 8
    for experiment, metric, *cells in lifts:
        (page,) = (
            seen
            for seen in demo_pages
            if seen.file.name == f"experiment_{experiment}.html"
            and seen.file.parent.name == "boards"
        )
        row = [str(metric).replace(JOINER, ""), *(f"{cell * 100:.1f} %" for cell in cells)]
        assert all(each in page.words for each in row), (experiment, row)


def test_the_renderer_was_given_the_cells_of_the_marts(demo: Path) -> None:
    """By its own account of the data behind each chart."""
    code = """
import subprocess, sys, tempfile
from pathlib import Path
from throughline import boards
from throughline.workspace import Workspace
demo = Workspace(project=Path.cwd(), folder=Path(sys.argv[1]), chosen_by="test")
scratch = Path(tempfile.mkdtemp())
with boards.project(demo, boards.FORMS[:1], scratch) as (root, _):
    asked = [f"charts/wide/{name}.yml" for name in sys.argv[2:]]
    command = [boards.renderer(demo), "render", "--no-cache", "--no-warnings", "--format"]
    command += ["text-data", "--project-dir", str(root), *asked]
    subprocess.run(command, cwd=root, check=True)
"""
    asked = ("overview", "experiment_lead_first_hour_call", "alerts")
    told = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-c", code, demo, *asked],
        cwd=ROOT,
        env={**os.environ, "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace(JOINER, "")
    models = rows(demo, "select model_id, open_alert_count, net_month_amount from mart_models")
    assert len(models) == 4
    for model, alerts, net in models:
        (line,) = (line for line in told.splitlines() if f"| model_{model}.html |" in line)
        assert f" | {alerts} | " in line
        assert (f"{net:,.0f} USD" if net is not None else "not valued") in line
    lifts = rows(
        demo,
        """
        select label, relative_lift, relative_ci_low, relative_ci_high from mart_experiments
        inner join mart_experiment_decisions using (experiment_id, variant, as_of, method, totals)
        inner join mart_metric_catalog using (metric)
        where experiment_id = 'lead_first_hour_call' and segment_name = 'all'
    """,
    )
    for metric, *cells in lifts:
        given = [line for line in told.splitlines() if f" {metric}, treatment |" in line]
        exact = (re.findall(r"-?\d+\.\d{6,}", line) for line in given)
        assert any(same(map(float, found), cells) for found in exact), (metric, given)
    goals = rows(demo, "select goal_id, attainment from mart_goals where is_latest")
    for goal, attainment in goals:
        assert any(
            goal in line and f"{attainment * 100:.1f} %" in line for line in told.splitlines()
        )


def same(given: Iterable[float], cells: Sequence[float]) -> bool:
    return [round(each, 9) for each in given] == [round(each, 9) for each in cells]


def test_drawn_points_are_cells_of_the_marts(demo: Path, demo_pages: list[Seen]) -> None:
    """The forest of an experiment: what a screen reader is told of each estimate."""
    (page,) = (
        seen
        for seen in demo_pages
        if seen.file.name == "experiment_lead_first_hour_call.html"
        and seen.file.parent.name == "boards"
    )
    text = page.file.read_text(encoding="utf-8")
    estimates = rows(
        demo,
        """
        select relative_lift from mart_experiments
        inner join mart_experiment_decisions using (experiment_id, variant, as_of, method, totals)
        where experiment_id = 'lead_first_hour_call' and segment_name = 'all'
    """,
    )
    assert len(estimates) == 3
    drawn = set(re.findall(r"estimate: ([+\u2212]\d+\.\d+)", text))
    written = (f"{cell:+.3f}".rstrip("0").replace("-", "\u2212") for (cell,) in estimates)
    assert drawn == set(written)


def test_a_model_has_one_colour_on_all_pages_of_metrics(demo_pages: list[Seen]) -> None:
    colours: dict[tuple[str, str], set[str]] = {}
    for seen in demo_pages:
        if seen.file.name.startswith("metric_"):
            for model, colour in seen.look["legend"]:
                is_dark = seen.file.parent.name.endswith("dark")
                colours.setdefault(("dark" if is_dark else "light", model), set()).add(colour)
    of_models = {key: found for key, found in colours.items() if "_" in key[1]}
    assert len(of_models) == 2 * 4
    assert {key: found for key, found in of_models.items() if len(found) > 1} == {}
    for ground in ("light", "dark"):
        used = [next(iter(found)) for key, found in of_models.items() if key[0] == ground]
        assert len(set(used)) == 4, used


def test_titles_are_as_written(demo: Path, demo_pages: list[Seen]) -> None:
    names = [name for (name,) in rows(demo, "select experiment_id from mart_experiment_decisions")]
    for seen in demo_pages:
        if seen.file.name.startswith("experiment_"):
            assert seen.look["texts"][0]["text"] in names, seen.file
            assert seen.look["title"] in names, seen.file


def test_a_number_that_is_not_told_says_why_in_its_place(
    demo: Path, demo_pages: list[Seen]
) -> None:
    (page,) = (
        seen
        for seen in demo_pages
        if seen.file.name == "model_demand_forecast.html" and seen.file.parent.name == "boards"
    )
    ((reason,),) = rows(
        demo, "select value_reason from mart_models where model_id = 'demand_forecast'"
    )
    assert f"Reason: {str(reason).replace('_', ' ')}." in page.words


def test_three_stories_are_told_at_a_glance(demo_pages: list[Seen]) -> None:
    """What the simulator planted: a broken feature, a harmful experiment, a wrong release."""
    wide = {seen.file.stem: seen.words for seen in demo_pages if seen.file.parent.name == "boards"}
    assert re.search(
        r"20 Apr 2026 decision features present .* days_since_contact", wide["model_lead_scoring"]
    )
    assert "roll back primary harm" in wide["experiment_offer_taste_features"]
    assert re.search(r"8\.0 .*rolled back.* rollback recommended", wide["model_next_best_offer"])


def test_prediction_logs_alone_make_whole_boards(browser: Browser, lone: Path) -> None:
    seen = list(opened(browser, lone / "boards", some(lone)))
    assert {"overview.html", "alerts.html", "model_churn.html"} <= {each.file.name for each in seen}
    assert {each.file.name: each.faults for each in seen if each.faults} == {}
    for each in seen:
        assert each.look["charts"], each.file
    words = next(each.words for each in seen if each.file.name == "model_churn.html")
    assert "No value of decisions is told." in words


def test_hostile_names_stay_names(browser: Browser, many: Path) -> None:
    folder = many / "boards"
    files = [
        *folder.glob("model_*.html"),
        folder / "overview.html",
        *(folder / "phone").glob("overview.html"),
    ]
    seen = list(opened(browser, folder, sorted(files)))
    assert len([each for each in seen if each.file.name.startswith("model_")]) == 30
    assert {each.file.name: each.faults for each in seen if each.faults} == {}
    overview = next(each for each in seen if each.file.name == "overview.html")
    # a name may stand on two lines
    words = "".join(overview.words.split())
    for name in HOSTILE:
        assert "".join(name.split()) in words, name
    for each in seen:
        assert "49" not in each.look["title"], each.file


def test_drawing_again_leaves_nothing_behind(lone: Path) -> None:
    left = [file.name for file in lone.iterdir() if file.name.startswith(".boards")]
    assert left == []
    folders = {file.name for file in (lone / "boards").iterdir() if file.is_dir()}
    assert folders == {"assets", "dark", "phone", "phone-dark"}


def test_a_filter_of_the_server_changes_the_numbers_and_the_title(demo: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serving = subprocess.Popen(
        [ROOT / ".venv" / "bin" / "throughline", "boards", "--serve", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "THROUGHLINE_WORKSPACE": str(demo.relative_to(ROOT))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def page(way: str) -> str:
        until = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/wide/{way}") as answer:
                    return str(answer.read().decode())
            except URLError:
                assert serving.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)

    try:
        values = rows(demo, "select model_id, value_amount, currency from mart_models")
        worth = {model: f"{value:,.0f} {unit}" for model, value, unit in values if value}
        assert len(worth) == 3
        for model, told in worth.items():
            text = page(f"model_demand_forecast?model_id={model}").replace(JOINER, "")
            assert f"<title>{model}</title>" in text
            assert {other for other, each in worth.items() if each in text} == {model}, told
    finally:
        os.killpg(serving.pid, signal.SIGINT)
        serving.wait(30)
