"""Choosing a workspace, its settings, .env and new workspaces."""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Company, Outcome
from throughline import files, seeds, workspace
from throughline.contract import read_contract
from throughline.files import quoted
from throughline.findings import UserError
from throughline.project import find_project
from throughline.settings import SETTINGS, read_settings, vars_template

Call = Callable[..., Outcome]


def choose(project: Path, **environment: str) -> workspace.Workspace:
    return workspace.choose(project=project, environment=environment)


def refusal(text: str, company: Company) -> list[str]:
    company.settings(text)
    with pytest.raises(UserError) as caught:
        _ = choose(company.project, THROUGHLINE_WORKSPACE="company").settings
    return [str(finding) for finding in caught.value.findings]


# The choice


def test_environment_goes_before_env_file_before_default(company: Company) -> None:
    (company.project / "workspace").mkdir()
    (company.project / "other").mkdir()
    assert choose(company.project).relative == "workspace"
    workspace.use(company.folder, project=company.project)
    assert choose(company.project).relative == "company"
    found = choose(company.project, THROUGHLINE_WORKSPACE="other")
    assert (found.relative, found.chosen_by) == (
        "other",
        "the environment variable THROUGHLINE_WORKSPACE",
    )


def test_schemas_are_named_as_dbt_names_them(company: Company) -> None:
    def schemas(**environment: str) -> tuple[str, str]:
        found = choose(company.project, **environment)
        replay = found.replaying("2026-05-01")
        assert replay.environment()["THROUGHLINE_SCHEMA"] == replay.schema
        assert "THROUGHLINE_SCHEMA" not in found.environment()
        return found.schema, replay.schema

    workspace.use(company.folder, project=company.project)
    assert schemas() == ("main", "as_of_20260501")
    with (company.project / ".env").open("a") as file:
        file.write("THROUGHLINE_SCHEMA=dev\n")
    assert schemas() == ("dev", "dev_as_of_20260501")
    assert schemas(THROUGHLINE_SCHEMA="own") == ("own", "own_as_of_20260501")


def test_absolute_path_reaches_dbt_as_relative(company: Company, tmp_path: Path) -> None:
    outside = tmp_path / "out side"
    outside.mkdir()
    found = choose(company.project, THROUGHLINE_WORKSPACE=str(outside))
    assert found.environment()["THROUGHLINE_WORKSPACE"] == "../out side"
    assert json.loads(found.environment()["THROUGHLINE_VARS"]) == {"workspace": "../out side"}


def test_link_to_a_workspace_leads_to_its_folder(company: Company, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(company.folder)
    assert choose(company.project, THROUGHLINE_WORKSPACE=str(link)).relative == "company"


def test_seeds_are_the_demo_companys_until_the_workspace_has_some(company: Company) -> None:
    found = choose(company.project, THROUGHLINE_WORKSPACE="company")
    assert found.environment()["THROUGHLINE_SEEDS"] == "company/seeds"
    for path in (company.folder / "seeds").iterdir():
        path.unlink()
    assert found.environment()["THROUGHLINE_SEEDS"] == "seeds"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (
            "nowhere",
            "nowhere: no such folder (chosen by the environment variable THROUGHLINE_WORKSPACE). "
            "Make it with throughline init or throughline simulate --out, or choose another with "
            "throughline use DIR.",
        ),
        (".", ".: the project itself is no workspace. Choose a folder of your own."),
        (
            "a[1]",
            "a[1]: a workspace path may not hold any of * ? [ ] { } \\ $ or a double quote. "
            "Rename the folder.",
        ),
    ],
)
def test_unusable_folder_is_refused(company: Company, folder: str, message: str) -> None:
    (company.project / "a[1]").mkdir()
    with pytest.raises(UserError) as caught:
        choose(company.project, THROUGHLINE_WORKSPACE=folder)
    assert str(caught.value) == message


def test_project_is_found_from_below_and_nowhere_else(project: Path, tmp_path: Path) -> None:
    below = project / "somewhere" / "deep"
    below.mkdir(parents=True)
    assert find_project(below) == project
    with pytest.raises(UserError, match=f"^{tmp_path}: no dbt project here"):
        find_project(tmp_path)


# Settings


def test_settings_reach_dbt_in_its_form(company: Company) -> None:
    company.settings(
        "as_of: 2025-06-30T02:00:00+02:00\n"
        "sources: {serving_costs: raw/finance/costs.csv}\n"
        "mapping: {prediction_logs: {sampling_fraction: 1, channel: \"'web'\"}}\n"
        "segments: [channel]\n"
        "minimum_cell: 5\n"
        "reporting_currency:\n"
    )
    assert choose(company.project, THROUGHLINE_WORKSPACE="company").settings == {
        "as_of": "2025-06-30 00:00:00",
        "sources": {"serving_costs": "raw/finance/costs.csv"},
        "mapping": {"prediction_logs": {"sampling_fraction": "1", "channel": "'web'"}},
        "segments": ["channel"],
        "minimum_cell": 5,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-06-30", "2025-06-30 00:00:00"),
        ("'2025-06-30'", "2025-06-30 00:00:00"),
        ("2025-06-30 12:30:00", "2025-06-30 12:30:00"),
        ("2025-06-30T12:30:00Z", "2025-06-30 12:30:00"),
        ("'2025-06-30T12:30:00Z'", "2025-06-30 12:30:00"),
    ],
)
def test_as_of_is_utc(company: Company, written: str, read: str) -> None:
    company.settings(f"as_of: {written}")
    assert choose(company.project, THROUGHLINE_WORKSPACE="company").settings == {"as_of": read}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("segmnts: [a]", "unknown setting 'segmnts'. Did you mean 'segments'?"),
        ("segments: channel", "segments: 'channel' is not a list like [channel, device]."),
        ("segments: [a, a]", "segments: 'a' is listed twice."),
        ("segments: [no]", "segments: False is not a column name of letters, digits and _."),
        (
            "segments: [My Channel]",
            "segments: 'My Channel' is not a column name of letters, digits and _.",
        ),
        ("minimum_cell: many", "minimum_cell: 'many' is not a whole number of at least 1."),
        ("minimum_cell: true", "minimum_cell: True is not a whole number of at least 1."),
        (
            "review_grace_days: -1",
            "review_grace_days: -1 is not a whole number of days, 0 or more.",
        ),
        ("drift_minimum: 2", "drift_minimum: 2 is not a number from 0 to 1."),
        ("new_category_maximum: few", "new_category_maximum: 'few' is not a number from 0 to 1."),
        (
            "feature_importance: [age]",
            "feature_importance: ['age'] is not a mapping of features to weights.",
        ),
        (
            "feature_importance: {age: -1}",
            "feature_importance: age weighs -1, which is no number of at least 0.",
        ),
        ("minimum_cell: 0", "minimum_cell: 0 is not a whole number of at least 1."),
        ("fairness_bound: 1.2", "fairness_bound: 1.2 is not a number above 0 and up to 1."),
        ("fairness_bound: yes", "fairness_bound: True is not a number above 0 and up to 1."),
        ("reference_groups: m", "reference_groups: 'm' is not a mapping of names to texts."),
        (
            "reference_groups: {gendr: m}",
            "reference_groups: 'gendr' is no protected attribute. Did you mean 'gender'?",
        ),
        ("as_of: yesterday", "as_of: 'yesterday' is not a timestamp like 2025-06-30 00:00:00."),
        ("as_of: 7", "as_of: 7 is not a timestamp like 2025-06-30 00:00:00."),
        ("reporting_currency: euro", "reporting_currency: 'euro' is not a currency code like USD."),
        ("sources: [a]", "sources: ['a'] is not a mapping of names to texts."),
        ("sources: {feedback: }", "sources: feedback is None, not a text."),
        (
            "sources: {feedbak: a/b.csv}",
            "sources: unknown table 'feedbak'. Did you mean 'feedback'?",
        ),
        ("mapping: x", "mapping: 'x' is not a mapping of tables to their columns."),
        (
            "mapping: {feedback: [a]}",
            "mapping: feedback: ['a'] is not a mapping of names to texts.",
        ),
        ("mapping: {feed: {a: b}}", "mapping: unknown table 'feed'. Did you mean 'feedback'?"),
        (
            "mapping: {feedback: {scor: b}}",
            "mapping: feedback has no column 'scor' in the contract. Did you mean 'score'?",
        ),
        (
            "mapping: {feedback: {channel: b}}",
            "mapping: feedback has no column 'channel' in the contract. Known: ",
        ),
        (
            "segments: [channel, Gender]",
            "segments: 'Gender' is a protected attribute too, which fairness alone may use. "
            "Leave it out of segments or of protected_attributes.",
        ),
        (
            "protected_attributes: [region]",
            "segments: 'region' is a protected attribute too, which fairness alone may use. ",
        ),
        (
            "inputs: [usage_events]",
            "inputs: lacks prediction_logs. It is always required.",
        ),
    ],
)
def test_faulty_setting_is_named(company: Company, text: str, message: str) -> None:
    (line,) = refusal(text, company)
    assert line.startswith(f"company/vars.yml: {message}")
    assert "\n" not in line


def test_every_faulty_setting_is_named_at_once(company: Company) -> None:
    assert len(refusal("minimum_cell: 0\nsegments: 3\nfoo: 1\n", company)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"a: [1\nb: 2\n",
            "company/vars.yml, line 2: not valid YAML: expected ',' or ']', but got ",
        ),
        (b"\ta: 1\n", "company/vars.yml, line 1: not valid YAML: found character '\\t' that "),
        (
            b"minimum_cell: 1\nminimum_cell: 2\n",
            "company/vars.yml, line 2: not valid YAML: 'minimum_cell' is given twice. "
            "Correct that line.",
        ),
        (
            b"- a\n",
            "company/vars.yml: not a mapping of settings. Write lines like minimum_cell: 20.",
        ),
        (b"a: \xe9\n", "company/vars.yml: not UTF-8 text. Save it as UTF-8."),
    ],
)
def test_unreadable_settings_are_one_line(company: Company, content: bytes, message: str) -> None:
    (company.folder / "vars.yml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        _ = choose(company.project, THROUGHLINE_WORKSPACE="company").settings
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# .env

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
# how long a draw takes says how busy the machine is
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(st.dictionaries(texts, texts | st.lists(texts)))
def test_settings_survive_env_file_and_yaml(values: dict[str, object]) -> None:
    """dbt reads .env by python-dotenv and the value by YAML; neither may change it."""
    text = files.as_json(values)
    assert json.loads(text) == values
    assert "\n" not in text
    line = f"THROUGHLINE_VARS={quoted(text)}\n"
    assert dotenv_values(stream=io.StringIO(line))["THROUGHLINE_VARS"] == text


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1))
def test_yaml_reads_what_json_wrote(value: str) -> None:
    assert yaml.safe_load(files.as_json({"key": value})) == {"key": value}


def test_env_file_keeps_quotes_dollars_and_unicode(company: Company) -> None:
    expression = """case when "Größe" = '$x ${HOME} \\d' then 'it''s 🎈' end"""
    text = json.dumps(expression, ensure_ascii=False)
    company.settings(f"mapping: {{prediction_logs: {{channel: {text}}}}}\n")
    used = workspace.use(company.folder, project=company.project)
    read = dotenv_values(company.project / ".env")
    assert read == used.environment()
    vars_ = read["THROUGHLINE_VARS"]
    assert vars_ is not None
    for parse in (json.loads, yaml.safe_load):
        assert parse(vars_)["mapping"]["prediction_logs"]["channel"] == expression


def test_folder_with_apostrophe_survives_env_file(company: Company) -> None:
    folder = company.project / "ann's größe"
    folder.mkdir()
    workspace.use(folder, project=company.project)
    assert choose(company.project).folder == folder


def test_use_keeps_foreign_lines_and_mode(company: Company) -> None:
    path = company.project / ".env"
    foreign = "# mine\nexport TOKEN='a b'\n\nMULTI=\"one\nTHROUGHLINE_SEEDS=not this\"\nLAST=1"
    path.write_text(foreign + "\n", encoding="utf-8")
    path.chmod(0o600)
    workspace.use(company.folder, project=company.project)
    workspace.use(company.folder, project=company.project)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(foreign)
    assert text.count("THROUGHLINE_VARS=") == 1
    assert dotenv_values(path)["MULTI"] == "one\nTHROUGHLINE_SEEDS=not this"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in company.project.glob(".env*")] == [".env"]


def test_use_ends_an_unended_last_line(company: Company) -> None:
    path = company.project / ".env"
    path.write_text("LAST=1", encoding="utf-8")
    workspace.use(company.folder, project=company.project)
    assert dotenv_values(path)["LAST"] == "1"


def test_failed_write_leaves_the_old_file(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = company.project / ".env"
    path.write_text("A=1\n", encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        workspace.use(company.folder, project=company.project)
    assert path.read_text(encoding="utf-8") == "A=1\n"
    assert [entry.name for entry in company.project.glob(".env*")] == [".env"]


def test_use_refuses_faulty_settings_and_writes_nothing(
    company: Company, throughline: Call
) -> None:
    company.settings("minimum_cel: 3\n")
    ended = throughline("use", "company")
    assert ended.status == 1
    assert ended.lines == [
        "error company/vars.yml: unknown setting 'minimum_cel'. Did you mean 'minimum_cell'?"
    ]
    assert not (company.project / ".env").exists()


def test_use_touches_nothing_in_the_workspace(company: Company, throughline: Call) -> None:
    before = company.bytes()
    assert throughline("use", str(company.folder)).status == 0
    assert company.bytes() == before


# init


def test_init_makes_a_workspace(project: Path, throughline: Call) -> None:
    ended = throughline("init", "mine")
    assert (ended.status, ended.out) == (0, "Made mine. Next: mine/README.md\n")
    folder = project / "mine"
    tables = read_contract(project)
    assert sorted(path.name for path in (folder / "raw").iterdir()) == sorted(tables)
    for name, spec in seeds.read_specs(project).items():
        text = (folder / "seeds" / f"{name}.csv").read_text(encoding="utf-8")
        assert text == ",".join(spec.header) + "\n"
    assert yaml.safe_load((folder / "vars.yml").read_text(encoding="utf-8")) is None
    assert throughline("use", "mine").status == 0


def test_every_example_of_the_template_is_valid(project: Path) -> None:
    lines = vars_template().splitlines()
    examples = [line[1:] for line in lines if re.match("#( {2}|[a-z])", line)]
    path = project / "vars.yml"
    path.write_text("\n".join(examples), encoding="utf-8")
    read = read_settings(path, where="vars.yml", contract=read_contract(project))
    assert set(read) == {setting.name for setting in SETTINGS}


def test_settings_are_those_the_macros_know(project: Path) -> None:
    text = (project / "macros/settings.sql").read_text(encoding="utf-8")
    assert all(f"'{setting.name}':" in text for setting in SETTINGS)


def test_seed_headers_are_those_of_the_demo_company(project: Path) -> None:
    for name, spec in seeds.read_specs(project).items():
        with (project / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
            assert file.readline().strip() == ",".join(spec.header)


def test_init_refuses_a_folder_in_use(company: Company, throughline: Call) -> None:
    before = company.bytes()
    ended = throughline("init", "company")
    assert ended.status == 1
    assert ended.lines == [
        "error company: the folder is not empty. Choose a new folder: nothing is overwritten."
    ]
    assert company.bytes() == before


def test_init_refuses_a_file(project: Path, throughline: Call) -> None:
    (project / "notes").write_text("mine", encoding="utf-8")
    ended = throughline("init", "notes")
    assert ended.lines == ["error notes: a file, not a folder. Choose another name."]
    assert (project / "notes").read_text(encoding="utf-8") == "mine"


def test_init_accepts_a_folder_with_hidden_files_only(project: Path, throughline: Call) -> None:
    (project / "mine").mkdir()
    (project / "mine" / ".gitignore").write_text("*\n", encoding="utf-8")
    assert throughline("init", "mine").status == 0
    assert (project / "mine" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_relative_folder_is_of_the_current_folder(
    company: Company, throughline: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = company.project / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert throughline("use", "../company").status == 0
    assert choose(company.project).relative == "company"
    assert os.path.commonpath([choose(company.project).folder, company.project])
