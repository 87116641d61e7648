"""Boards: pages over the published marts, drawn by dbt Charts from the templates in boards/.

A template is a board of dbt Charts whose charts name a query, a .sql file beside it, and say what
stands in their place when it has no rows. Boards compute nothing: a query selects cells of marts,
and boards/setup.sql only writes numbers, words and names of pages.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, reduce
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import yaml

from throughline import publish
from throughline.files import locked, writing
from throughline.findings import refuse
from throughline.progress import Begin, ignored
from throughline.workspace import Workspace

Yaml = dict[str, Any]

PROGRAM = "dct"
"""The command of dbt Charts."""
INSTALL = "In a clone: make boards. Elsewhere: pip install 'throughline[boards]'."
WIDE = "wide"
"""The folder of the boards for a wide screen, whose pages stand at the top."""
SHOWN_DAYS = 90
"""Days of a metric that its board shows."""
PARALLEL = 2
"""Renderers at a time: one for each processor, and no more memory than a laptop has."""
KEYS = {"model": "model_id", "experiment": "experiment_id", "metric": "metric"}
"""What there is a board for each of, and the value of its queries that names it."""
MARKS, ALIKE = "_*`[]", "\u02cd\u2217\u02cb\uff3b\uff3d"
"""What a title of dbt Charts takes for emphasis, code or a link, and what looks like it."""
HUES, TINTS = 10, ("", ".dark", ".light", ".deep")
"""The colours of a palette of dbt Charts, and what it makes of each."""
SHARED = re.compile(r"@font-face\s*\{[^}]*\}|<script\b[^>]*>.{4000,}?</script>", re.DOTALL)
"""What is the same in each page and weighs most of it: fonts, and the script of the tooltips."""
AT_FDCWD, EXCHANGE = -100, 2
"""What Linux calls a path that is no other file's, and Linux and macOS an exchange of names."""
RENDERED = re.compile(r"^Rendered (\S+) to ")
FAULT = re.compile(r"^ERR-[A-Z0-9-]+")


@dataclass(frozen=True, kw_only=True)
class Form:
    """One look of all boards, in a folder of its own: for which screen, and on what ground."""

    folder: str
    is_phone: bool = False
    is_dark: bool = False

    @property
    def looks(self) -> list[str]:
        """The files of its looks, a later one over those before."""
        ground = "style_dark.yml" if self.is_dark else "style_light.yml"
        return ["style.yml", *["style_phone.yml"] * self.is_phone, ground]


FORMS = (
    Form(folder=""),
    Form(folder="dark", is_dark=True),
    Form(folder="phone", is_phone=True),
    Form(folder="phone-dark", is_phone=True, is_dark=True),
)


@dataclass(frozen=True, kw_only=True)
class Board:
    """A page to be drawn: its template, the values of its queries and the words of its texts."""

    kind: str
    page: str
    values: Mapping[str, str]
    words: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Boards:
    """What was drawn: the folder, the number of boards, their pages and bytes."""

    folder: Path
    boards: int
    pages: int
    size: int

    def __str__(self) -> str:
        return f"{self.boards} boards in {self.pages} pages, {self.size / 1e6:,.1f} MB"


def render(workspace: Workspace, *, with_pdf: bool = True, begin: Begin = ignored) -> Boards:
    """Draws every board in every form and swaps the folder in; raises UserError where it cannot.

    The folder that stood before stays until the new one is whole.
    """
    program, place = renderer(workspace), folder(workspace)
    with _alone(workspace, place) as scratch, project(workspace, FORMS, scratch) as (root, boards):
        fresh = scratch / place.name
        fresh.mkdir()
        kinds = ["html"] * len(FORMS) + ["pdf"] * with_pdf
        forms = [*FORMS, FORMS[0]][: len(kinds)]
        with ThreadPoolExecutor(PARALLEL) as pool:
            drawn = [
                pool.submit(_draw, program, root, form, fresh, kind=kind, begin=begin)
                for form, kind in zip(forms, kinds, strict=True)
            ]
        for each in drawn:
            each.result()
        share(fresh)
        shutil.copyfile(fresh / "overview.html", fresh / "index.html")
        size = sum(file.stat().st_size for file in fresh.rglob("*") if file.is_file())
        pages = len(boards) * len(FORMS)
        _swap(fresh, place)
    return Boards(folder=place, boards=len(boards), pages=pages, size=size)


def serve(workspace: Workspace, *, port: int) -> int:
    """Serves the wide boards with filters until it is stopped; returns the program's status."""
    program = renderer(workspace)
    with (
        tempfile.TemporaryDirectory(prefix="throughline-boards-") as name,
        project(workspace, FORMS[:1], Path(name), is_served=True) as (root, _),
    ):
        command = [program, "serve", "--project-dir", str(root), "--port", str(port)]
        try:
            return subprocess.run(command, env=_environment(), check=False).returncode
        except KeyboardInterrupt:
            return 0


def folder(workspace: Workspace) -> Path:
    """Where the pages stand."""
    return workspace.published.parent.parent / "boards"


def renderer(workspace: Workspace) -> str:
    """The command of dbt Charts; raises UserError where it is not installed.

    It has an environment of its own, since it brings some ninety packages.
    """
    beside = Path(sys.executable).parent / PROGRAM
    own = workspace.package / ".build" / "boards-venv" / "bin" / PROGRAM
    for candidate in (beside, own):
        if candidate.exists():
            return str(candidate)
    if found := shutil.which(PROGRAM):
        return found
    raise refuse("dbt Charts is not installed", where=PROGRAM, fix=INSTALL)


@contextmanager
def project(
    workspace: Workspace, forms: Sequence[Form], scratch: Path, *, is_served: bool = False
) -> Iterator[tuple[Path, list[Board]]]:
    """A project of dbt Charts over the published file, in a folder for a while.

    Where the warehouse is a server, a file of the marts that boards read takes its place.

    charts/<form>/<page>.yml are the boards; the second value has them once, without forms.
    """
    published = workspace.published
    if workspace.is_in_file and not published.exists():
        fix = "Publish it: throughline publish. Boards read that file of DuckDB alone."
        raise refuse("does not exist", where=workspace.shown(published), fix=fix)
    templates = workspace.package / "boards"
    schema, _ = workspace.place("marts", "mart_models")
    try:
        if not workspace.is_in_file:
            read = scratch / published.name
            publish.take(workspace, marts=_marts(templates), file=read)
        else:
            read = published if is_served else _held(published, scratch)
        with duckdb.connect(str(read), read_only=True) as marts:
            marts.execute(f'use "{schema}"')
            marts.execute(_setup(templates))
            boards = plan(marts)
            root = scratch / "project"
            (root / "charts").mkdir(parents=True)
            source = {"type": "duckdb", "path": str(read.resolve()), "schema": schema}
            _write(root / "dbt_charts.yml", {"sources": {"marts": source}})
            for form in forms:
                place = root / "charts" / (form.folder or WIDE)
                place.mkdir()
                for board in boards:
                    made = compose(board, form, templates, marts, is_served=is_served)
                    _write(place / f"{board.page}.yml", made)
    except duckdb.Error as error:
        fix = "Build it again with this version: throughline build."
        told = str(error).splitlines()[0].rstrip("!.")
        told = told.replace(str(scratch), workspace.shown(published.parent))
        what = f"cannot be read for boards: {told}"
        raise refuse(what, where=workspace.shown(published), fix=fix) from None
    yield root, boards


def _marts(templates: Path) -> list[str]:
    """The marts that boards read."""
    queries = sorted((templates / "queries").glob("*.sql"))
    return sorted(
        {name for query in queries for name in re.findall(r"\bmart_\w+", query.read_text())}
    )


def _held(published: Path, scratch: Path) -> Path:
    """The published file under another name: a build that ends meanwhile changes no page."""
    held = scratch / published.name
    try:
        os.link(published.resolve(), held)
    except OSError:
        shutil.copyfile(published, held)
    return held


def plan(marts: duckdb.DuckDBPyConnection) -> list[Board]:
    """The boards that the marts call for, by what is registered, tried and governed."""
    (as_of, currency) = _first(marts, "select max(as_of), max(currency) from mart_models")
    if as_of is None:
        fix = "Add one to seeds/model_registry.csv and run throughline build."
        raise refuse("No model is registered, so there is no board", where="boards", fix=fix)
    common = {
        "as_of": f"{as_of:%-d %B %Y}",
        "currency": currency,
        "overview": "overview.html",
        "alerts": "alerts.html",
    }
    values = {
        "from_date": f"{as_of - timedelta(days=SHOWN_DAYS):%Y-%m-%d}",
        "currency": currency,
    }
    boards = [
        Board(kind=kind, page=kind, values=values, words=common) for kind in ("overview", "alerts")
    ]
    kinds = {
        "model": "select model_id, model_name, task, owner from mart_models order by all",
        "experiment": """
            select experiment_id, any_value(hypothesis) from mart_experiment_decisions
            group by experiment_id order by all
        """,
        "metric": "select metric, label, description, unit from mart_metric_catalog order by all",
    }
    names = {
        "model": lambda row: {"model_name": row[1], "about": f"A {row[2]} model of {row[3]}."},
        "experiment": lambda row: {"experiment_id": row[0], "hypothesis": row[1]},
        "metric": lambda row: {
            "label": row[1],
            "description": row[2],
            "axis_format": ",.3~%" if row[3] == "share" else ",.3~f",
        },
    }
    for kind, sql in kinds.items():
        for row in marts.execute(sql).fetchall():
            boards.append(
                Board(
                    kind=kind,
                    page=page(kind, row[0]),
                    values={**values, KEYS[kind]: row[0]},
                    words={
                        **common,
                        **{key: value or "" for key, value in names[kind](row).items()},
                    },
                )
            )
    return boards


def page(kind: str, name: str) -> str:
    """The file of a board, without its ending; as the macro `page` of boards/setup.sql has it."""
    if re.fullmatch(r"[a-z0-9_]{1,60}", name):
        return f"{kind}_{name}"
    return f"{kind}_{hashlib.md5(name.encode()).hexdigest()}"


def compose(
    board: Board,
    form: Form,
    templates: Path,
    marts: duckdb.DuckDBPyConnection,
    *,
    is_served: bool = False,
) -> Yaml:
    """The board as dbt Charts reads it: the template with its queries, texts and what is empty.

    One that is served shows what its reader chooses, so it says nothing of one name alone.
    """
    color = "info.bg" if form.is_dark else "info.text"
    words = {**board.words, "link_color": color}
    made: Yaml = _filled(_template(templates / f"{board.kind}.yml"), words)
    made["source"] = "marts"
    made["style"] = reduce(_merged, (_template(templates / look)["style"] for look in form.looks))
    if board.kind == "metric":
        values = {"model": {"values": _colors(marts)}}
        made["style"] = _merged(made["style"], {"charts": {"category_colors": values}})
    if form.is_dark:
        made["theme"] = "neon"
    setup = _setup(templates)
    queries: dict[str, str] = {}
    made["charts"] = {
        name: _chart(chart, board, form, templates, marts, queries, is_served=is_served)
        for name, chart in made["charts"].items()
    }
    declared = made.pop("variables", {})
    chooser = [each["options"]["query"] for each in declared.values()] if is_served else []
    for name in chooser:
        queries[name] = _query(templates, name)
    made["queries"] = {name: {"sql": sql, "setup_sql": setup} for name, sql in queries.items()}
    if is_served:
        # a server has its pages under names without an ending
        made = json.loads(json.dumps(made).replace(".html", ""))
    else:
        made["text"] = f"{made['text'].rstrip()} · {_other_forms(board, form)}"
    made["variables"] = {
        name: {"input": "text", "default": value, "visible": False}
        for name, value in board.values.items()
    }
    if is_served and declared:
        (chosen,) = declared
        made["title"] = f"{{{{ {chosen} }}}}"
        made["text"] = made["text"].split("\n\n", 1)[1]
        made["variables"] |= {
            name: {**each, "default": board.values[name]} for name, each in declared.items()
        }
    made["rows"] = [
        each
        for row in made["rows"]
        for each in (_stacked(row, made["charts"], form) if isinstance(row, dict) else [row])
    ]
    return made


def _colors(marts: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """One colour for each model on all boards; none where there are more models than colours."""
    slots = [f"category[{hue}]{tint}" for tint in TINTS for hue in range(1, HUES + 1)]
    models = marts.execute("select text(model_id) from mart_models order by model_id").fetchall()
    if len(models) > len(slots):
        return {}
    return {name: slot for (name,), slot in zip(models, slots, strict=False)}


def share(place: Path) -> None:
    """Moves what all pages have in common into files of their own, once each.

    Every page is whole without that, but weighs a megabyte. What only looks like a mark becomes it.
    """
    marks = str.maketrans(ALIKE, MARKS)
    assets = place / "assets"
    assets.mkdir()
    for file in sorted(place.rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        way = os.path.relpath(assets, file.parent)
        fonts: list[str] = []

        def moved(found: re.Match[str], way: str = way, fonts: list[str] = fonts) -> str:
            part = found.group()
            if part.startswith("@"):
                fonts.append(part)
                return ""
            body = part[part.index(">") + 1 : -len("</script>")]
            return f'<script src="{way}/{_kept(assets, body, "js")}"></script>'

        text = SHARED.sub(moved, text).translate(marks)
        if fonts:
            name = _kept(assets, "\n".join(fonts), "css")
            text = text.replace("</head>", f'<link rel="stylesheet" href="{way}/{name}"></head>', 1)
        file.write_text(text.replace("<html>", '<html lang="en">', 1), encoding="utf-8")


def _kept(assets: Path, content: str, ending: str) -> str:
    name = f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{ending}"
    if not (assets / name).exists():
        (assets / name).write_text(content, encoding="utf-8")
    return name


def _other_forms(board: Board, form: Form) -> str:
    """Links to the page on the other ground and for the other screen."""

    def link(name: str, *, is_phone: bool, is_dark: bool) -> str:
        other = next(each for each in FORMS if (each.is_phone, each.is_dark) == (is_phone, is_dark))
        way = os.path.relpath(other.folder or ".", form.folder or ".")
        return f"[{name}]({f'{way}/{board.page}.html'.removeprefix('./')})"

    ground, screen = "Light" if form.is_dark else "Dark", "Wide" if form.is_phone else "For a phone"
    return " · ".join(
        [
            link(ground, is_phone=form.is_phone, is_dark=not form.is_dark),
            link(screen, is_phone=not form.is_phone, is_dark=form.is_dark),
        ]
    )


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The template with its words: each as text that dbt Charts shows and does not read."""
    if isinstance(value, dict):
        return {key: _filled(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, words) for each in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    return Template(value).substitute(
        {
            key: word if key.endswith("format") or word.endswith(".html") else shown(word)
            for key, word in words.items()
        }
    )


def shown(text: str) -> str:
    """A text of the workspace within a text of dbt Charts, which would read marks and Jinja."""
    plain = text.replace("\n", " ").translate(str.maketrans(MARKS, ALIKE))
    return (
        f"{{{{ {json.dumps(plain, ensure_ascii=False)} }}}}" if re.search("[{}]", plain) else plain
    )


def _chart(
    chart: Yaml,
    board: Board,
    form: Form,
    templates: Path,
    marts: duckdb.DuckDBPyConnection,
    queries: dict[str, str],
    *,
    is_served: bool,
) -> Yaml:
    """The chart with its query declared, or a message where it has no rows.

    One that is served may have rows once its reader chooses something else.
    """
    empty, why, phone = chart.pop("empty"), chart.pop("why", None), chart.pop("phone", {})
    sql = _query(templates, chart["query"])
    if not is_served and not _rows(marts, sql, board.values):
        reason = _rows(marts, _query(templates, why), board.values) if why else []
        told = " ".join([empty, *(f"Reason: {row[0]}." for row in reason[:1] if row[0])])
        return {"type": "callout", "title": chart["title"], "message": told}
    if isinstance(chart.get("x"), list):
        columns = chart["x"][-1:] if is_served else chart["x"]
        chart["x"] = _telling(columns, marts, sql, board.values)
    layers, declared = [], chart.pop("layers", [])
    for layer in declared:
        if "query" in layer:
            layer_sql = _query(templates, layer["query"])
            if not is_served and not _rows(marts, layer_sql, board.values):
                continue
            queries[layer["query"]] = layer_sql
        layers.append(layer)
    if layers:
        chart["layers"] = layers
    elif declared:
        # it speaks of what the layer would show
        chart.pop("subtitle", None)
    queries[chart["query"]] = sql
    if form.is_phone:
        for column in phone.get("hide", []):
            chart["style"]["columns"][column] = {"visible": False}
        chart["style"] = _merged(chart.get("style", {}), phone.get("style", {}))
    return chart


@cache
def _template(path: Path) -> Yaml:
    """A template as it stands; to be read, not changed."""
    read: Yaml = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def _merged(one: Yaml, other: Yaml) -> Yaml:
    """Both, key by key; the second where they differ."""
    both = {key: one[key] for key in one.keys() & other.keys() if isinstance(one[key], dict)}
    return {**one, **other, **{key: _merged(value, other[key]) for key, value in both.items()}}


def _query(templates: Path, name: str) -> str:
    return (templates / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def _setup(templates: Path) -> str:
    return (templates / "setup.sql").read_text(encoding="utf-8")


def _rows(
    marts: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    """Rows of a query whose '{{ name }}' are bound to values, as dbt Charts binds them."""
    used = [name for name in values if f"'{{{{ {name} }}}}'" in sql]
    for name in used:
        sql = sql.replace(f"'{{{{ {name} }}}}'", f"${name}")
    return marts.execute(sql, {name: values[name] for name in used}).fetchall()


def _telling(
    columns: list[str], marts: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, str]
) -> str:
    """The first of some columns of a query that tells its rows apart; else the last of them."""
    for column in columns[:-1]:
        cells = _rows(marts, f"select {column} from ({sql}\n)", values)
        if len(set(cells)) == len(cells):
            return column
    return columns[-1]


def _first(marts: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = marts.execute(sql).fetchone()
    assert row is not None
    return row


def _stacked(row: Yaml, charts: Mapping[str, Yaml], form: Form) -> list[Any]:
    """Charts side by side, or below each other where the page is narrow or one of them is empty."""
    is_whole = all(charts[name]["type"] != "callout" for name in row["cols"])
    return [row] if is_whole and not form.is_phone else row["cols"]


def _draw(program: str, root: Path, form: Form, fresh: Path, *, kind: str, begin: Begin) -> None:
    """Draws the boards of a form by one run of dbt Charts; raises UserError with a fault of it."""
    name = form.folder or WIDE
    out = root / f"{kind}-{name}"
    command = [
        *(program, "render", "--no-cache", "--no-warnings", "--format", kind),
        *("--project-dir", str(root), "--output", str(out / f"{{stem}}.{kind}")),
        *(f"charts/{name}/{source.name}" for source in sorted((root / "charts" / name).iterdir())),
    ]
    told: list[str] = []
    with subprocess.Popen(
        command,
        cwd=root,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            told.append(line.rstrip())
            if found := RENDERED.match(line):
                begin(f"{name} {Path(found.group(1)).stem} {kind}")
    if running.returncode:
        fault = next((i for i, line in enumerate(told) if FAULT.match(line)), max(len(told) - 1, 0))
        what = " ".join(told[fault : fault + 4]) or "ended without a word"
        fix = "Report it with this line; the boards before these still stand."
        raise refuse(what, where=f"dbt Charts ({PROGRAM} render)", fix=fix)
    shutil.copytree(out, fresh / (form.folder if kind == "html" else kind), dirs_exist_ok=True)


def _environment() -> dict[str, str]:
    """The environment of dbt Charts: it tells nobody of its use."""
    hidden = ("PYTHONPATH", "DBT_PROFILES_DIR", "DBT_PROJECT_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "DO_NOT_TRACK": "1", "DCT_NO_WORKSPACE_GUARD": "1"}


@contextmanager
def _alone(workspace: Workspace, place: Path) -> Iterator[Path]:
    """An empty folder beside the boards for new ones, for one process at a time.

    What a killed process left there is mended and removed first.
    """
    fix = "Make the folder writable and run throughline boards."
    new, old = _beside(place)
    with locked(place.parent, does="draws", where=workspace.shown(place)):
        try:
            with writing(place.parent, fix=fix):
                if old.exists() and not place.exists():
                    old.rename(place)
                _remove(old)
                _remove(new)
                new.mkdir()
                # a renderer of a killed process may still write where it did
                scratch = Path(tempfile.mkdtemp(dir=new))
            yield scratch
        finally:
            _remove(new)


def _swap(fresh: Path, place: Path) -> None:
    """Puts a folder in the place of another, which goes with the scratch or only then."""
    if place.exists() and _exchanged(fresh, place):
        return
    _, old = _beside(place)
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    _remove(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could give two folders each other's names at once."""
    libc = ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    if hasattr(libc, "renameat2"):
        return bool(libc.renameat2(AT_FDCWD, first, AT_FDCWD, second, EXCHANGE) == 0)
    if hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(first, second, EXCHANGE) == 0)
    return False


def _beside(place: Path) -> tuple[Path, Path]:
    """Where boards are drawn, and where those before them stand while they are swapped."""
    return place.with_name(f".{place.name}.new"), place.with_name(f".{place.name}.old")


def _remove(left: Path) -> None:
    shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, content: Yaml) -> None:
    # JSON is YAML too, and written a hundred times faster
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
