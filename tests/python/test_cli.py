"""The commands: choice, refusals and the run of dbt."""

from __future__ import annotations

import gzip
import html.parser
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from conftest import Company, Outcome
from throughline import build, cli, dbt_events, dbt_process, docs, findings, scorecard, workspace

Call = Callable[..., Outcome]


def test_use_shows_the_choice(company: Company, throughline: Call) -> None:
    (company.project / "workspace").mkdir()
    assert throughline("use").out == "workspace (chosen by default)\n"
    assert throughline("use", "company").out == "company is chosen: .env is written\n"
    assert throughline("use").out == "company (chosen by .env)\n"


def test_use_of_a_missing_folder_says_so_and_chooses_nothing(
    company: Company, throughline: Call
) -> None:
    throughline("use", "company")
    for name, what in (("nowhere", "no such folder"), ("company/vars.yml", "not a folder")):
        ended = throughline("use", name)
        assert (ended.status, ended.lines) == (
            1,
            [
                f"error {name}: {what}. Make it with throughline init or throughline simulate "
                "--out, or name another."
            ],
        )
    assert throughline("use").out == "company (chosen by .env)\n"


def test_use_says_that_the_environment_goes_first(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROUGHLINE_WORKSPACE", "workspace")
    assert throughline("use", "company").lines == [
        "warning environment: THROUGHLINE_WORKSPACE=workspace is set there and goes before .env. "
        "unset THROUGHLINE_WORKSPACE"
    ]


def test_missing_workspace_is_one_line(project: Path, throughline: Call) -> None:
    for command in ("use", "doctor", "build"):
        ended = throughline(command)
        assert ended.status == 1
        assert len(ended.lines) == 1
        assert ended.lines[0].startswith("error workspace: no such folder (chosen by default). ")


def test_a_workspace_that_may_not_be_entered_is_one_line(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")

    def is_dir(folder: Path) -> bool:
        # no folder is closed to root, who may be running this
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "is_dir", is_dir)
    for command in ("doctor", "build", "lift"):
        ended = throughline(command)
        assert (ended.status, ended.lines) == (
            1,
            [
                f"error {company.project / 'company'}: cannot be read: Permission denied. Change "
                "its rights or those of the folders above it, or choose another."
            ],
        )


def test_help_names_every_command_with_an_example(throughline: Call) -> None:
    listed = throughline("--help").out
    for name, command in cli.cli.commands.items():
        assert name in listed
        assert "Example" in (command.help or "")


def test_simulate_refuses_a_folder_of_other_data(company: Company, throughline: Call) -> None:
    before = company.bytes()
    ended = throughline("simulate", "--out", "company")
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert ended.lines[0].startswith("error simulate: ")
    assert company.bytes() == before


@pytest.mark.parametrize("command", [("init",), ("simulate", "--out")])
def test_a_folder_that_cannot_be_made_is_one_line(
    company: Company, throughline: Call, command: tuple[str, ...]
) -> None:
    ended = throughline(*command, "company/vars.yml/below")
    assert ended.status == 1
    assert ended.lines == [
        "error company/vars.yml/below: cannot be written: Not a directory. "
        "Choose a folder that can be written."
    ]


def test_use_in_a_project_that_cannot_be_written_is_one_line(
    company: Company, throughline: Call
) -> None:
    (company.project / ".env").symlink_to("nowhere/.env")
    ended = throughline("use", "company")
    assert ended.status == 1
    assert ended.lines == [
        "error .env: cannot be written: No such file or directory. "
        "Make its folder writable, or set THROUGHLINE_WORKSPACE instead."
    ]


def test_build_stops_at_the_doctors_errors(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    (company.folder / "seeds" / "kpi_links.csv").unlink()
    (company.folder / "raw/usage_events/rows.csv").unlink()
    monkeypatch.setattr(build, "run", lambda *_, **__: pytest.fail("dbt was run"))
    ended = throughline("build")
    assert ended.status == 1
    assert [line.split(":")[0] for line in ended.lines] == [
        "error company/seeds/kpi_links.csv",
        "error company/raw/usage_events",
    ]


def test_build_passes_arguments_to_dbt(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    passed: list[list[str]] = []

    def run(*_: object, arguments: list[str], **__: object) -> list[findings.Finding]:
        passed.append(arguments)
        return []

    monkeypatch.setattr(build, "run", run)
    monkeypatch.setattr(scorecard, "show", lambda *_, **__: None)
    monkeypatch.setattr("throughline.cli.publish_to_readers", lambda *_, **__: None)
    assert throughline("build", "--full-refresh", "--", "--select", "a+").status == 0
    assert throughline("build", "--no-tests").status == 0
    monkeypatch.setattr(build, "has_experiments", lambda _: True)
    assert throughline("build", "--", "--select=a+").status == 0
    unit_tests = ["--exclude-resource-type", "unit_test"]
    assert passed == [
        ["--full-refresh", *unit_tests, "--select", "a+"],
        ["--exclude-resource-type", "test", *unit_tests],
        [*unit_tests, "--select=a+"],
    ]


def test_build_runs_unit_tests_only_for_whoever_names_them(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    passed: list[list[str]] = []

    def run(*_: object, arguments: list[str], **__: object) -> list[findings.Finding]:
        passed.append(arguments)
        return []

    monkeypatch.setattr(build, "run", run)
    monkeypatch.setattr(scorecard, "show", lambda *_, **__: None)
    monkeypatch.setattr("throughline.cli.publish_to_readers", lambda *_, **__: None)
    monkeypatch.setattr(build, "has_experiments", lambda _: True)
    monkeypatch.setattr("throughline.lift.command.summary", lambda *_, **__: "none")
    unit_tests = ["--exclude-resource-type", "unit_test"]
    assert throughline("build").status == 0
    named = ["--select", "fct_costs,test_type:unit"]
    assert throughline("build", "--", *named).status == 0
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "seed test")
    assert throughline("build", "--", "--select", "a").status == 0
    assert passed == [
        ["--selector", "before_lift", *unit_tests],
        ["--selector", "after_lift", *unit_tests],
        named,
        [
            *("--exclude-resource-type", "seed", "--exclude-resource-type", "test", *unit_tests),
            *("--select", "a"),
        ],
    ]


@pytest.mark.parametrize(
    "arguments",
    [("--target", "postgres"), ("-t", "x"), ("-tx",), ("--profile=x",), ("--profiles-dir", "x")],
)
def test_build_refuses_arguments_that_lead_dbt_elsewhere(
    company: Company, throughline: Call, arguments: tuple[str, ...]
) -> None:
    throughline("use", "company")
    ended = throughline("build", "--", *arguments)
    assert ended.status == 1
    assert ended.lines == [
        f"error build: {arguments[0]} would lead dbt alone to another warehouse, not lift and the "
        "scorecard. Name it before the command: throughline --target, --profile or --profiles-dir."
    ]


def test_a_target_named_before_the_command_holds_for_it_alone(
    company: Company, throughline: Call
) -> None:
    throughline("use", "company")
    ended = throughline("--target", "postgres", "publish")
    assert ended.out == "Nothing to publish: readers read schema main_marts of target postgres.\n"
    assert "DBT_TARGET" not in os.environ


def test_target_is_the_one_of_dbt(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    assert found.target == "duckdb"
    (company.project / ".env").write_text("THROUGHLINE_TARGET=postgres\n")
    assert found.target == "postgres"
    monkeypatch.setenv("DBT_TARGET", "spark")
    assert found.target == "spark"


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        (
            {"THROUGHLINE_TARGET": "postgres", "PGPORT": "abc"},
            "Could not render {{ env_var('PGPORT', '5432') | as_number }}: "
            "Could not convert value 'abc' into type 'number'",
        ),
        (
            {"THROUGHLINE_TARGET": "oracle"},
            "The profile 'throughline' does not have a target named 'oracle'. The valid target "
            "names for this profile are: - duckdb - postgres - spark",
        ),
    ],
)
def test_a_profile_that_dbt_cannot_read_is_one_line(
    company: Company,
    throughline: Call,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    what: str,
) -> None:
    throughline("use", "company")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ended = throughline("load")
    assert ended.status == 1
    assert ended.lines == [
        f"error target {variables['THROUGHLINE_TARGET']}: {what}. "
        "Start the server, or correct the variables that profiles.yml reads."
    ]


def test_doctor_of_metrics_counts_exits_and_writes_nothing(
    company: Company, throughline: Call
) -> None:
    throughline("use", "company")
    company.seed("metric_targets", "precision,lead,all,all,0.5,0.6,,,,,,,,2025-01-01,,ann,why")
    before = company.bytes()
    ended = throughline("doctor")
    assert (ended.status, ended.out.splitlines()[-1]) == (1, "company: 1 error")
    assert ended.lines == [
        "error company/seeds/metric_targets.csv, row 2: target 0.5 of precision contradicts its "
        "direction up: worse than its floor 0.6. "
        "Correct the target, or direction in the metric card or in model_metrics."
    ]
    assert company.bytes() == before
    assert not (company.folder / "warehouse.duckdb").exists()
    assert not (company.project / "target").exists()


def test_doctor_of_metrics_that_dbt_cannot_read(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    throughline("use", "company")
    monkeypatch.setattr(dbt_process, "SCRATCH", {})
    ended = throughline("doctor")
    assert ended.status == 1
    assert ended.lines[-1].startswith("error dbt: ")
    assert ended.lines[-1].endswith("dbt cannot read the project.")


def test_exec_gives_the_workspace_to_any_program(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    script = "import os; print(os.environ['THROUGHLINE_SEEDS'], os.getcwd()); raise SystemExit(3)"
    ended = throughline("exec", "--", "python", "-c", script)
    assert (ended.status, ended.out) == (3, f"company/seeds {company.project}\n")


def test_exec_of_an_unknown_program_is_one_line(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    ended = throughline("exec", "nosuchprogram")
    assert ended.status == 1
    assert ended.lines == ["error nosuchprogram: no such program. Run make setup, or name another."]


# dbt on a project of two models


@pytest.fixture
def small(tmp_path: Path) -> workspace.Workspace:
    """A project with a mart and one model above it; its workspace is the folder `ws`."""
    root = tmp_path / "small"
    (root / "ws").mkdir(parents=True)
    files = {
        "dbt_project.yml": (
            "name: small\nprofile: small\nmodels: {small: {mart_scorecard: {+schema: marts}}}\n"
        ),
        "profiles.yml": (
            "small: {target: d, outputs: {d: {type: duckdb, path: ws/warehouse.duckdb, "
            "schema: \"{{ env_var('THROUGHLINE_SCHEMA', 'main') }}\"}}}\n"
        ),
        "models/mart_scorecard.sql": (
            "select 'precision' as metric, 0.6::double as target "
            "union all select 'value_of_decisions', null"
        ),
        "models/above.sql": "select * from {{ ref('mart_scorecard') }}",
        "models/staging/_sources.yml": (
            "sources: [{name: raw, tables: "
            "[{name: prediction_logs, columns: [{name: model_id, data_type: string}]}]}]\n"
        ),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return workspace.at(root / "ws", project=root, chosen_by="test")


def printing() -> Console:
    return Console(file=io.StringIO(), width=120, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_successful_run_says_what_dbt_did(small: workspace.Workspace) -> None:
    console = printing()
    assert build.run(small, arguments=[], console=console) == []
    assert "PASS=2 WARN=0 ERROR=0" in printed(console)


def test_failed_models_and_tests_are_one_line_each(small: workspace.Workspace) -> None:
    models = small.project / "models"
    (models / "wrong.sql").write_text("select nothing as a from nowhere", encoding="utf-8")
    (models / "above.yml").write_text(
        "models: [{name: above, columns: [{name: target, data_tests: [not_null]}]}]\n",
        encoding="utf-8",
    )
    test, model = sorted(
        map(str, build.run(small, arguments=[], console=printing())),
        key=lambda line: "wrong" in line,
    )
    assert test == (
        "test not_null_above_target (models/above.yml): Got 1 result, configured to fail if "
        "!= 0. Its query: target/compiled/small/models/above.yml/not_null_above_target.sql"
    )
    assert model.startswith(
        "model wrong (models/wrong.sql): Catalog Error: Table with name nowhere does not exist!"
    )
    assert "\n" not in model


def test_fault_before_the_run_is_one_line(small: workspace.Workspace) -> None:
    (small.project / "models/above.sql").write_text("{{ ref('nowhere') }}", encoding="utf-8")
    (fault,) = build.run(small, arguments=[], console=printing())
    assert str(fault).startswith("dbt: Model 'model.small.above' (models/above.sql) depends on ")
    (small.project / "dbt_project.yml").write_text("name: [", encoding="utf-8")
    (fault,) = build.run(small, arguments=[], console=printing())
    assert "\n" not in str(fault)
    assert "dbt_project.yml" in str(fault) or "Syntax error" in str(fault)


def test_environment_keeps_dbt_silent(company: Company) -> None:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    given = dbt_process.environment(found)
    assert given["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "false"
    assert given["THROUGHLINE_WORKSPACE"] == "company"
    assert json.loads(given["THROUGHLINE_VARS"])["workspace"] == "company"


def add_python_model(small: workspace.Workspace, *statements: str) -> None:
    """A model of Python, which runs in the process of dbt after the mart is made."""
    body = "".join(f"    {line}\n" for line in statements)
    text = f"import os, signal\n\n\ndef model(dbt, session):\n{body}    return dbt.ref('above')\n"
    (small.project / "models/last.py").write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("is_verbose", [False, True])
@pytest.mark.parametrize(
    "statement",
    ["os.remove('ws/warehouse.duckdb')", "os.rename('ws/warehouse.duckdb', 'ws/away.duckdb')"],
)
def test_a_warehouse_that_vanishes_during_a_build_is_an_error(
    small: workspace.Workspace, statement: str, is_verbose: bool
) -> None:
    add_python_model(small, statement)
    console = printing()
    (fault,) = build.run(small, arguments=[], console=console, is_verbose=is_verbose)
    assert str(fault) == LOST
    assert "Done" not in printed(console)


LOST = (
    "ws/warehouse.duckdb: was moved, removed or replaced while it was built: what dbt wrote is "
    "lost. Build again, and leave it there meanwhile."
)


@pytest.mark.slow
def test_a_warehouse_that_another_file_replaced_during_a_build_is_an_error(
    small: workspace.Workspace,
) -> None:
    duckdb.connect(str(small.warehouse)).close()
    file = "'ws/warehouse.duckdb'"
    add_python_model(small, f"os.rename({file}, 'ws/away')", f"open({file}, 'w').close()")
    (fault,) = build.run(small, arguments=[], console=printing())
    assert str(fault) == LOST


@pytest.mark.slow
@pytest.mark.parametrize("is_verbose", [False, True])
def test_a_dbt_that_was_killed_is_said_to_have_been(
    small: workspace.Workspace, is_verbose: bool
) -> None:
    for name, advice in (
        ("SIGKILL", "If memory ran out, give it more or lower THROUGHLINE_MEMORY_LIMIT. "),
        ("SIGSEGV", ""),
    ):
        add_python_model(small, f"os.kill(os.getpid(), signal.{name})")
        (fault,) = build.run(small, arguments=[], console=printing(), is_verbose=is_verbose)
        assert str(fault) == (
            f"dbt: was killed by signal {name}. {advice}Build again: nothing is lost."
        )


@pytest.mark.slow
def test_a_half_written_file_has_its_fix_in_the_line_that_names_it(
    small: workspace.Workspace,
) -> None:
    """As it may come between the doctor's look and the build."""
    raw = small.folder / "raw"
    raw.mkdir()
    duckdb.sql(f"copy (select i, hash(i) as h from range(9999) t(i)) to '{raw}/whole.parquet'")
    whole = (raw / "whole.parquet").read_bytes()
    rows = "a,b\n" + "".join(f"{number},x\n" for number in range(99))
    (raw / "whole.csv").write_text(rows, encoding="utf-8")
    packed = gzip.compress(rows.encode())
    broken = {
        "end.parquet": whole[:-9],
        "empty.parquet": b"",
        "middle.parquet": whole[:999] + bytes(9999) + whole[10998:],
        "quote.csv": f'{rows}5,"'.encode(),
        "begin.csv.gz": packed[4:],
    }
    for name, content in broken.items():
        (raw / name).write_bytes(content)
        files = f"['ws/raw/whole.{name.split('.')[1]}', 'ws/raw/{name}']"
        reader = f"read_parquet({files})"
        if "csv" in name:
            reader = f"read_csv({files}, all_varchar = true, header = true, quote = '\"')"
        query = "{{ config(materialized='table') }}" + f"select * from {reader}"
        (small.project / "models/reading.sql").write_text(query, encoding="utf-8")
        (fault,) = build.run(small, arguments=["--select", "reading"], console=printing())
        assert fault.where == "model reading (models/reading.sql)"
        place = f"Deliver ws/raw/{name} again, whole, or move it out of the folder."
        assert fault.fix == place, fault
        assert "\n" not in str(fault)
        assert len(str(fault)) < 400, fault


def test_a_fault_that_quotes_a_query_does_not_blame_its_files() -> None:
    message = (
        'Binder Error: Referenced column "x" not found\n\n'
        "LINE 1: select x from read_parquet('raw/a.parquet')\n"
    )
    assert dbt_events.advised(message) == ""
    assert dbt_events.advised(f"Invalid Input Error: Cannot cast\n\n{message}") == ""
    unnamed = "A delivered file is damaged: deliver the latest again, whole, or move it away."
    assert dbt_events.advised("don't know what type: \n\nLINE 1: from 'raw/a.parquet'") == unnamed
    assert dbt_events.advised('IO Error: No files match the pattern "raw/a/*.parquet"') == ""


def test_all_that_have_one_cause_are_one_line() -> None:
    seen = dbt_events.Run()
    for name in ("a", "b", "c"):
        seen.faults.append(findings.Finding("error", "connection refused", f"model {name}", ""))
    seen.faults.append(findings.Finding("error", "Got 1 result", "test d", "Its query: d.sql"))
    seen.faults.append(findings.Finding("error", "Got 1 result", "test e", "Its query: e.sql"))
    assert [str(fault) for fault in dbt_events.shown(seen)] == [
        "model a and 2 more: connection refused.",
        "test d: Got 1 result. Its query: d.sql",
        "test e: Got 1 result. Its query: e.sql",
    ]


def test_no_text_of_the_project_ends_a_script_of_the_docs_page(
    small: workspace.Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    evil = "<!--<script></script><script>alert(1)</script>"
    (small.project / "models/above.yml").write_text(
        f"models: [{{name: above, description: '{evil}'}}]\n", encoding="utf-8"
    )
    (small.project / "models/above.sql").write_text(f"select '{evil}' as a", encoding="utf-8")
    assert build.run(small, arguments=[], console=printing()) == []
    page = docs.generate(small, addresses={})
    assert page == small.project / "target/static_index.html"
    text = page.read_text(encoding="utf-8")
    assert evil not in text
    assert "alert(1)" in text
    scripts = Scripts()
    scripts.feed(text)
    scripts.close()
    assert not [script for script in scripts.found if script.startswith("alert")]
    (data,) = [script for script in scripts.found if "alert(1)" in script]
    manifest = json.loads((page.parent / "manifest.json").read_text(encoding="utf-8"))
    start = data.index('{"metadata"')
    found, _ = json.JSONDecoder().raw_decode(data, start)
    assert found == manifest
    assert manifest["nodes"]["model.small.above"]["description"] == evil


class Scripts(html.parser.HTMLParser):
    """The texts of a page's scripts, as a browser would run them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.is_in_script = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.is_in_script = tag == "script"
        self.found += [""] if self.is_in_script else []

    def handle_endtag(self, tag: str) -> None:
        self.is_in_script = False

    def handle_data(self, data: str) -> None:
        if self.is_in_script:
            self.found[-1] += data


@pytest.mark.parametrize("moment", ["soon", "2026-02-30"])
def test_a_replay_of_no_moment_is_refused(company: Company, throughline: Call, moment: str) -> None:
    throughline("use", "company")
    outcome = throughline("build", "--as-of", moment)
    assert outcome.status == 1
    assert outcome.lines == [
        f"error --as-of: '{moment}' is not a timestamp like 2025-06-30 00:00:00. "
        "Write it like 2025-06-30 or '2025-06-30 12:00:00' (UTC)."
    ]


def test_a_full_disk_is_one_line() -> None:
    seen = dbt_events.Run()
    words = (
        "TransactionContext Error: Failed to commit: Could not write file "
        '"company/warehouse.duckdb.wal": No space left on device'
    )
    for name, message in (
        ("RunResultFailure", "[ERROR]: in model fct_metrics (models/metrics/fct_metrics.sql)"),
        ("RunResultError", words),
        ("RunResultFailure", "[ERROR]: in model mart_scorecard (models/marts/mart_scorecard.sql)"),
        ("RunResultError", words),
    ):
        seen.take(json.dumps({"info": {"name": name, "msg": message}, "data": {}}))
    assert [str(finding) for finding in dbt_events.shown(seen)] == [
        "dbt build: the disk is full. Make room and build again: nothing is lost."
    ]


def test_a_seed_that_got_a_column_is_to_be_made_anew() -> None:
    """By plain dbt in a host, which inserts into the table that stands."""
    seen = dbt_events.Run()
    said = (
        'Invalid Input Error: Error when sniffing file "/seeds/models.csv".\n'
        "It was not possible to automatically detect the CSV parsing dialect"
    )
    for name, message in (
        ("RunResultFailure", "[ERROR]: in seed models (seeds/models.csv)"),
        ("RunResultError", said),
    ):
        seen.take(json.dumps({"info": {"name": name, "msg": message}, "data": {}}))
    assert [str(finding) for finding in dbt_events.shown(seen)] == [
        'seed models (seeds/models.csv): Invalid Input Error: Error when sniffing file "/seeds/mo'
        'dels.csv". Where its columns changed, make it anew: dbt seed --full-refresh'
    ]
