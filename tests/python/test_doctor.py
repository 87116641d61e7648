"""The doctor names each fault of a workspace in one line with its place and fix."""

from __future__ import annotations

import gzip
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

from building import Project
from conftest import INPUTS, RAW, REGISTRY, ROOT, SEED_ROWS, Company, Outcome
from throughline import doctor, input_checks, inputs, places, records, workspace

Call = Callable[..., Outcome]


TOLD = (
    "told,lead,It helps,entity,control,control:0.5;treatment:0.5,2025-03-01,2025-04-01,,14,,"
    "fixed,,,"
    "precision,,,0.05,relative,0.05,0.8,,,,,ann,why"
)


def findings(company: Company) -> list[str]:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    return [f"{finding.severity} {finding}" for finding in doctor.check(found).findings]


def only(company: Company) -> str:
    (line,) = findings(company)
    assert "\n" not in line
    return line


def test_sound_workspace_has_no_finding(company: Company) -> None:
    assert findings(company) == []


@pytest.fixture
def without_dbt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test of the command the rules that dbt renders."""
    monkeypatch.setattr(doctor, "check_metrics", lambda *_, **__: [])
    monkeypatch.setattr(input_checks, "check_delivered", lambda *_, **__: [])


SUMMARY = """\
table              files  rows  first event          last event           last arrival
prediction_logs        1     2  2025-03-01 10:00:00  2025-03-02 10:00:00  2025-03-02 11:00:00
usage_events           1     1  2025-03-01 12:00:00  2025-03-01 12:00:00  2025-03-01 13:00:00
business_outcomes      1     2  2025-03-05 10:00:00  2025-03-05 10:00:00  2025-03-05 11:00:00
serving_costs          1     1  2025-03-01 00:00:00  2025-03-01 00:00:00  2025-04-01 00:00:00
"""


def test_command_says_all_is_well(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    ended = throughline("doctor")
    assert (ended.status, ended.out, ended.err) == (0, f"{SUMMARY}company: all is well\n", "")


@pytest.mark.usefixtures("without_dbt")
def test_command_counts_and_exits(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    company.seed("unit_values", "lead,tp,ten,0.1,USD,2025-01-01,,ann,why")
    (company.folder / "seeds" / "notes.csv").write_text("a\n", encoding="utf-8")
    ended = throughline("doctor")
    assert ended.status == 1
    assert ended.out == f"{SUMMARY}company: 1 error, 1 warning\n"
    assert [line.split()[0] for line in ended.lines] == ["error", "warning"]


@pytest.mark.usefixtures("without_dbt")
def test_json_report(company: Company, throughline: Call) -> None:
    company.seed("unit_values", "lead,tp,ten,0.1,USD,2025-01-01,,ann,why")
    for name in ("usage_events", "business_outcomes", "serving_costs"):
        (company.folder / "raw" / name / "rows.csv").unlink()
    company.settings("inputs: [prediction_logs]\nas_of: 2025-03-20\n")
    throughline("use", "company")
    ended = throughline("doctor", "--json")
    assert ended.status == 1
    assert ended.err == ""
    assert ended.report == {
        "workspace": "company",
        "errors": 1,
        "warnings": 0,
        "notes": 0,
        "findings": [
            {
                "severity": "error",
                "what": "'ten' is not a number",
                "where": "company/seeds/unit_values.csv, row 2, column fixed_amount",
                "fix": "Write it like 12.5.",
            }
        ],
        "tables": [
            {
                "table": "prediction_logs",
                "files": 1,
                "rows": 2,
                "first_event": "2025-03-01 10:00:00",
                "last_event": "2025-03-02 10:00:00",
                "last_arrival": "2025-03-02 11:00:00",
            }
        ],
    }


def test_nothing_is_written(company: Company) -> None:
    before = company.bytes()
    findings(company)
    assert company.bytes() == before
    assert not (company.folder / "warehouse.duckdb").exists()


@pytest.mark.usefixtures("without_dbt")
def test_fresh_workspace_is_told_what_it_lacks(project: Path, throughline: Call) -> None:
    throughline("init", "mine")
    throughline("use", "mine")
    ended = throughline("doctor")
    assert ended.status == 1
    assert ended.lines[0] == "error mine/seeds/model_registry.csv: no model. Add a row per model."
    assert ended.lines[1] == (
        "error mine/raw/prediction_logs: no Parquet or CSV file for prediction_logs. "
        "Put files there or name their place under sources in vars.yml."
    )
    assert len(ended.lines) == 10


# Seeds: the bytes


HEADER = (
    "model_id,model_name,product,task,team,charter,label_outcome,positive_label,label_is,"
    "amount_outcome,"
    "decision_threshold,horizon_days,label_delay_days,negative_on_absence,reference_from,"
    "reference_to,score_is_probability,outcome_depends_on_action,latency_slo_ms,"
    "baseline_policy,baseline_column,owner,rationale"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"empty. Its first line must be the header: {HEADER}"),
        (HEADER.replace(",", ";"), "columns are separated by semicolons. Separate them by commas."),
        (HEADER.replace(",", "\t"), "columns are separated by tabs. Separate them by commas."),
        (HEADER.replace(",", "|"), "columns are separated by bars. Separate them by commas."),
        (
            f"sep=,\n{HEADER}",
            "its first line is Excel's sep=, not the header. Remove that line.",
        ),
    ],
)
def test_seed_of_another_form(company: Company, content: str, message: str) -> None:
    (company.folder / "seeds" / "model_registry.csv").write_text(content, encoding="utf-8")
    assert only(company) == f"error company/seeds/model_registry.csv: {message}"


def test_missing_seed(company: Company) -> None:
    (company.folder / "seeds" / "kpi_links.csv").unlink()
    assert only(company) == (
        "error company/seeds/kpi_links.csv: missing. Add it; this header is enough: model_id,"
        "from_metric,to_metric,expected_low,expected_high,confidence,evidence,owner,rationale"
    )


def test_misnamed_seed(company: Company) -> None:
    folder = company.folder / "seeds"
    (folder / "kpi_link.csv").write_bytes((folder / "kpi_links.csv").read_bytes())
    assert only(company) == (
        "warning company/seeds/kpi_link.csv: unknown seed, nothing reads it. "
        "Did you mean 'kpi_links'?"
    )


def test_byte_order_mark(company: Company) -> None:
    path = company.folder / "seeds" / "model_registry.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert only(company) == (
        "error company/seeds/model_registry.csv: starts with a byte order mark. "
        "Save it as UTF-8 without BOM."
    )


def test_byte_order_mark_and_semicolons_of_excel(company: Company) -> None:
    path = company.folder / "seeds" / "model_registry.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";"))
    assert only(company) == (
        "error company/seeds/model_registry.csv: starts with a byte order mark, and columns are "
        "separated by semicolons. Save it as UTF-8 without BOM, and separate them by commas."
    )


def test_unicode_text_of_excel(company: Company) -> None:
    path = company.folder / "seeds" / "model_registry.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    assert only(company) == (
        "error company/seeds/model_registry.csv, row 1: not UTF-8 text. Save it as UTF-8."
    )


def test_wrong_encoding(company: Company) -> None:
    path = company.seed("model_registry", *REGISTRY, REGISTRY[0].replace("Lead", "Größe"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert only(company) == (
        "error company/seeds/model_registry.csv, row 3: not UTF-8 text. Save it as UTF-8."
    )


def header(company: Company, old: str, new: str) -> None:
    path = company.folder / "seeds" / "exchange_rates.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def test_misspelt_column(company: Company) -> None:
    header(company, "rate,", "rates,")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv: unknown column 'rates'. Did you mean 'rate'?"
    )


def test_capital_letters_in_the_header(company: Company) -> None:
    header(company, "currency", "Currency")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv: unknown column 'Currency'. "
        "Did you mean 'currency'?"
    )


def test_missing_column(company: Company) -> None:
    path = company.folder / "seeds" / "exchange_rates.csv"
    path.write_text("currency,valid_from,valid_to,owner,rationale\nUSD,2025-01-01,,ann,why\n")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv: column rate missing. "
        "Header: currency,rate,valid_from,valid_to,owner,rationale"
    )


def test_empty_columns_at_the_end(company: Company) -> None:
    path = company.folder / "seeds" / "exchange_rates.csv"
    path.write_text("".join(f"{line},,\n" for line in path.read_text().splitlines()))
    assert only(company) == (
        "error company/seeds/exchange_rates.csv: a column of the header has no name. "
        "Remove the column, or name it."
    )


def test_row_of_empty_cells(company: Company) -> None:
    company.seed("exchange_rates", *SEED_ROWS["exchange_rates"], ",,,,,")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 4: every cell is empty. Remove the row."
    )


def test_open_quote(company: Company) -> None:
    company.seed("exchange_rates", 'USD,1,2025-01-01,,ann,"why', "EUR,1.1,2025-01-01,,ann,why")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 2: not readable as CSV: unexpected end of "
        "data. Correct the quotes or line ends."
    )


def test_quotes_within_a_cell(company: Company) -> None:
    company.seed("exchange_rates", "USD,1,2025-01-01,,ann,why", 'EUR,1,2025-01-01,,ann,"a "b" c"')
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 3: not readable as CSV: ',' expected after "
        "'\"'. Correct the quotes or line ends."
    )


def test_comma_left_out(company: Company) -> None:
    company.seed("exchange_rates", *SEED_ROWS["exchange_rates"], "GBP,1.25,2025-01-01,ann,why")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 4: 5 cells, but the header has 6. "
        "Put a cell that holds a comma into double quotes; leave no comma out."
    )


def test_column_twice(company: Company, throughline: Call) -> None:
    header(company, "valid_to", "valid_from")
    line = (
        "error company/seeds/exchange_rates.csv: column valid_from stands twice in the header. "
        "Keep one."
    )
    assert only(company) == line
    throughline("use", "company")
    built = throughline("build")
    assert (built.status, built.lines) == (1, [line])


def test_unquoted_comma(company: Company) -> None:
    company.seed("exchange_rates", *SEED_ROWS["exchange_rates"], "GBP,1,25,2025-01-01,,ann,why")
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 4: 7 cells, but the header has 6. "
        "Put a cell that holds a comma into double quotes; leave no comma out."
    )


def test_row_number_is_that_of_the_editor(company: Company) -> None:
    rows = ['USD,1,2025-01-01,,ann,"two\nlines"', "", "EUR,x,2025-01-01,,ann,why"]
    company.seed("exchange_rates", *rows)
    assert only(company) == (
        "error company/seeds/exchange_rates.csv, row 5, column rate: 'x' is not a number. "
        "Write it like 12.5."
    )


# Seeds: the values


@pytest.mark.parametrize(
    ("seed", "row", "message"),
    [
        (
            "exchange_rates",
            'GBP,"1,25",2025-01-01,,ann,why',
            "row 2, column rate: '1,25' holds a comma. "
            "Write the decimal point as . and no thousands separator.",
        ),
        (
            "exchange_rates",
            "GBP,0,2025-01-01,,ann,why",
            "row 2, column rate: '0' breaks the rule rate > 0. "
            "Correct it: Units of the reporting currency for one unit of this currency.",
        ),
        (
            "exchange_rates",
            "GBP,nan,2025-01-01,,ann,why",
            "row 2, column rate: 'nan' is not a number. Write it like 12.5.",
        ),
        (
            "exchange_rates",
            "GBP,125%,2025-01-01,,ann,why",
            "row 2, column rate: '125%' is not a number. Write it like 12.5.",
        ),
        (
            "exchange_rates",
            "GBP,#N/A,2025-01-01,,ann,why",
            "row 2, column rate: '#N/A' is not a number. Write it like 12.5.",
        ),
        (
            "exchange_rates",
            "GBP,1,45658,,ann,why",
            "row 2, column valid_from: '45658' is not a date. Write it as YYYY-MM-DD.",
        ),
        (
            "exchange_rates",
            "GBP,1,01.02.2025,,ann,why",
            "row 2, column valid_from: '01.02.2025' is not a date. Write it as YYYY-MM-DD.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-02-30,,ann,why",
            "row 2, column valid_from: '2025-02-30' is not a date. Write it as YYYY-MM-DD.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-02-01,2025-01-01,ann,why",
            "row 2, column valid_to: '2025-01-01' breaks the rule valid_to > valid_from. "
            "Correct it: First day on which the row no longer holds; open where empty.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-02-01,2025-02-01,ann,why",
            "row 2, column valid_to: '2025-02-01' breaks the rule valid_to > valid_from. "
            "Correct it: First day on which the row no longer holds; open where empty.",
        ),
        (
            "exchange_rates",
            'GBP,"1,250.00",2025-01-01,,ann,why',
            "row 2, column rate: '1,250.00' holds a comma. "
            "Write the decimal point as . and no thousands separator.",
        ),
        (
            "exchange_rates",
            "GBP,1e999,2025-01-01,,ann,why",
            "row 2, column rate: '1e999' is not a number. Write it like 12.5.",
        ),
        (
            "exchange_rates",
            "GBP,$1.25,2025-01-01,,ann,why",
            "row 2, column rate: '$1.25' is not a number. Write it like 12.5.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-01-01 00:00:00,,ann,why",
            "row 2, column valid_from: '2025-01-01 00:00:00' is not a date. "
            "Write it as YYYY-MM-DD.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-1-1,,ann,why",
            "row 2, column valid_from: '2025-1-1' is not a date. Write it as YYYY-MM-DD.",
        ),
        (
            "metric_targets",
            "precision,*,*,*,,0.4,,,,,,,,2025-01-01,,ann,why",
            "row 2, column target: empty. Fill it in.",
        ),
        (
            "unit_values",
            "lead,tp,10,0.1,USD,2025-02-01,2025-01-01,ann,why",
            "row 2, column valid_to: '2025-01-01' breaks the rule valid_to > valid_from. "
            "Correct it: First day on which the row no longer holds; open where empty.",
        ),
        (
            "metric_targets",
            "precision,*,*,*,0.5,0.4,,,,,,,,2025-02-01,2025-01-01,ann,why",
            "row 2, column valid_to: '2025-01-01' breaks the rule valid_to > valid_from. "
            "Correct it: First day on which the row no longer holds; open where empty.",
        ),
        (
            "model_registry",
            REGISTRY[0].replace("true,,,", "true,2025-02-01,2025-01-31,"),
            "row 2, column reference_to: '2025-01-31' breaks the rule "
            "reference_to >= reference_from. "
            "Correct it: Last day of the reference period for drift.",
        ),
        (
            "model_registry",
            REGISTRY[0].replace(",14,", ",99999999999,"),
            "row 2, column horizon_days: '99999999999' is out of range. "
            "Write a number of at most nine digits.",
        ),
        (
            "exchange_rates",
            "gbp,1,2025-01-01,,ann,why",
            "row 2, column currency: 'gbp' is not a currency code. Write it like USD.",
        ),
        (
            "exchange_rates",
            "GBP,1,2025-01-01,,,why",
            "row 2, column owner: empty. Fill it in.",
        ),
        (
            "exchange_rates",
            "GBP ,1,2025-01-01,,ann,why",
            "row 2, column currency: 'GBP ' has a space at its start or end. Remove it.",
        ),
        (
            "metric_targets",
            "precision,leads,*,*,0.5,0.4,,,,,,,,2025-01-01,,ann,why",
            "row 2, column model_id: unknown model 'leads'. "
            "Declare it in model_registry. Did you mean 'lead'?",
        ),
        (
            "unit_values",
            "*,tp,10,0.1,USD,2025-01-01,,ann,why",
            "row 2, column model_id: unknown model '*'. Declare it in model_registry. Known: lead.",
        ),
        (
            "unit_values",
            "lead,TP,10,0.1,USD,2025-01-01,,ann,why",
            "row 2, column cell: 'TP' is not allowed. Known: tp, fp, fn, tn.",
        ),
        (
            "unit_values",
            "lead,tp,10,0.1,CHF,2025-01-01,,ann,why",
            "row 2, column currency: no exchange rate for 'CHF' to USD. "
            "Add it to exchange_rates.csv.",
        ),
        (
            "model_registry",
            REGISTRY[0].replace("binary", "binery"),
            "row 2, column task: 'binery' is not allowed. Did you mean 'binary'?",
        ),
        (
            "model_registry",
            REGISTRY[0].replace(",14,", ",14.5,"),
            "row 2, column horizon_days: '14.5' is not a whole number. Write it like 14.",
        ),
        (
            "model_registry",
            REGISTRY[0].replace(",14,", ",-1,"),
            "row 2, column horizon_days: '-1' breaks the rule horizon_days >= 0. "
            "Correct it: Days after the decision within which its outcome counts.",
        ),
        (
            "model_registry",
            REGISTRY[0].replace(",2,true,", ",2,yes,"),
            "row 2, column negative_on_absence: 'yes' is not a boolean. Write true or false.",
        ),
        (
            "release_criteria",
            "live,*,recall,0.4,,,ann,why",
            "row 2, column stage: 'live' is not allowed. Known: concept, prototype, validation, "
            "approved, deployed.",
        ),
        (
            "release_criteria",
            "deployed,leads,recall,0.4,,,ann,why",
            "row 2, column model_id: unknown model 'leads'. Declare it in model_registry. Did you "
            "mean 'lead'?",
        ),
        (
            "release_criteria",
            "deployed,*,recall,>0.4,,,ann,why",
            "row 2, column bound: '>0.4' is not a number. Write it like 12.5.",
        ),
        (
            "release_criteria",
            "deployed,*,recall,0.4,-5,,ann,why",
            "row 2, column minimum_units: '-5' breaks the rule minimum_units >= 0. Correct it: "
            "Matured units below which nothing is said; empty for none beside the setting "
            "`minimum_cell`.",
        ),
        (
            "release_criteria",
            "deployed,*,recall,0.4,,7d,ann,why",
            "row 2, column period: '7d' is not allowed. Known: all, 28d.",
        ),
        (
            "release_expectations",
            "release-1,recall,0.1,0.05,ann,why",
            "row 2, column change_high: '0.05' breaks the rule change_low <= change_high. "
            "Correct it: Upper end of the expected change.",
        ),
    ],
)
def test_faulty_cell(company: Company, seed: str, row: str, message: str) -> None:
    rest = SEED_ROWS["exchange_rates"] if seed == "exchange_rates" else ()
    company.seed(seed, row, *rest)
    assert only(company) == f"error company/seeds/{seed}.csv, {message}"


def test_duplicate_key(company: Company) -> None:
    company.seed("model_registry", *REGISTRY, *REGISTRY)
    assert only(company) == (
        "error company/seeds/model_registry.csv, row 3: same key as row 2 (model_id lead). "
        "Keep one."
    )


def test_overlapping_validity(company: Company) -> None:
    company.seed(
        "unit_values",
        "lead,tp,10,0,USD,2025-01-01,2025-06-02,ann,why",
        "lead,tp,11,0,USD,2025-06-01,,ann,why",
    )
    assert only(company) == (
        "error company/seeds/unit_values.csv, row 3: valid at the same time as row 2 "
        "(model_id lead, cell tp). "
        "End the earlier row: valid_to is the first day on which it no longer holds."
    )


def test_unknown_metric(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "metrics", lambda _: {"precision", "recall"})
    company.seed("metric_targets", "precison,*,*,*,0.5,0.4,,,,,,,,2025-01-01,,ann,why")
    assert only(company) == (
        "error company/seeds/metric_targets.csv, row 2, column metric: no metric 'precison'. "
        "Did you mean 'precision'?"
    )


# Raw files


def test_missing_optional_table(company: Company) -> None:
    (company.folder / "raw/serving_costs/rows.csv").unlink()
    assert only(company) == (
        "error company/raw/serving_costs: no Parquet or CSV file for serving_costs. Put files "
        "there or name their place under sources in vars.yml, or leave the table out of inputs."
    )


def test_files_of_another_kind_are_named(company: Company) -> None:
    path = company.folder / "raw/usage_events/rows.csv"
    path.rename(path.with_name("events.json"))
    assert findings(company) == [
        "error company/raw/usage_events: no Parquet or CSV file for usage_events. Put files there "
        "or name their place under sources in vars.yml, or leave the table out of inputs.",
        "warning company/raw/usage_events: 1 file is not read: events.json. "
        "Deliver Parquet or CSV.",
    ]


@pytest.mark.parametrize("source", ["raw/costs.json", "costs.json"])
def test_source_of_another_kind(company: Company, source: str) -> None:
    company.settings(INPUTS + f"sources: {{serving_costs: {source}}}\n")
    assert only(company) == (
        f"error company/{source}: serving_costs cannot be read from .json files. "
        "Deliver Parquet or CSV."
    )


def test_source_without_file(company: Company) -> None:
    company.settings(INPUTS + "sources: {usage_events: logs/*.csv}\n")
    assert only(company) == (
        "error company/logs/*.csv: no Parquet or CSV file for usage_events. Put files there or "
        "name their place under sources in vars.yml, or leave the table out of inputs."
    )


def test_source_relation_that_is_absent(company: Company) -> None:
    company.settings(INPUTS + "sources: {usage_events: lake_events}\n")
    assert only(company) == (
        "error relation lake_events (usage_events): Table with name lake_events does not exist. "
        "Correct sources in vars.yml; a file pattern holds a / or ends in .parquet or .csv."
    )


def test_missing_required_column(company: Company) -> None:
    company.raw(
        "usage_events", *[line.replace("occurred_at", "ts") for line in RAW["usage_events"]]
    )
    assert only(company) == (
        "error company/raw/usage_events: required column occurred_at is missing "
        "(found: event_id, event_name, ts, user_id, model_id, loaded_at). "
        "Deliver it, or map it under mapping.usage_events.occurred_at in vars.yml."
    )


def test_mapped_column_is_found(company: Company) -> None:
    company.raw(
        "usage_events", *[line.replace("occurred_at", "ts") for line in RAW["usage_events"]]
    )
    company.settings(INPUTS + "mapping: {usage_events: {occurred_at: ts}}\n")
    assert findings(company) == []


def test_mapping_that_does_not_compile(company: Company) -> None:
    company.settings(INPUTS + "mapping: {prediction_logs: {score: scor / 100}}\n")
    line = only(company)
    assert line.startswith(
        "error company/raw/prediction_logs, column score: mapping 'scor / 100' does not compile: "
    )
    assert line.endswith("Correct mapping.prediction_logs.score in vars.yml.")


@pytest.mark.parametrize("expression", ["max(score)", "row_number() over ()"])
def test_mapping_of_many_rows(company: Company, expression: str) -> None:
    company.settings(INPUTS + f"mapping: {{prediction_logs: {{score: {expression}}}}}\n")
    assert only(company) == (
        f"error company/raw/prediction_logs, column score: mapping '{expression}' is an aggregate "
        "or window function, not a value of one row. "
        "Correct mapping.prediction_logs.score in vars.yml."
    )


@pytest.mark.parametrize("expression", ["delivered.score", "case when score > '1' then score end"])
def test_mapping_that_the_build_takes(company: Company, expression: str) -> None:
    company.settings(INPUTS + f"mapping: {{prediction_logs: {{score: {expression}}}}}\n")
    assert findings(company) == []


def test_mapping_that_fails_on_a_row(company: Company) -> None:
    company.settings(INPUTS + "mapping: {prediction_logs: {score: cast(entity_id as double)}}\n")
    assert only(company) == (
        "error company/raw/prediction_logs: Could not convert string 'e1' to DOUBLE when "
        "casting from source column entity_id. "
        "Correct the file, or the mapping in vars.yml."
    )


def test_typed_milliseconds_are_shown_their_mapping(company: Company) -> None:
    (company.folder / "raw/usage_events/rows.csv").unlink()
    company.parquet(
        "usage_events",
        "select 'u1' as event_id, 'viewed' as event_name, 1740000000000 as occurred_at, "
        "'ann' as user_id, 'lead' as model_id, timestamp '2025-03-01' as loaded_at",
    )
    assert only(company) == (
        "error company/raw/usage_events, column occurred_at: 1 of 1 values are no timestamp: "
        "'1740000000000'. They are milliseconds. Convert them: "
        "mapping.usage_events.occurred_at: epoch_ms(try_cast(occurred_at as bigint)) in vars.yml."
    )


def test_unreadable_timestamps(company: Company) -> None:
    company.raw(
        "usage_events",
        RAW["usage_events"][0],
        "u1,accepted,31/03/2025 12:00,ann,lead,2025-03-01 13:00:00",
    )
    assert only(company) == (
        "error company/raw/usage_events, column occurred_at: 1 of 1 values are no timestamp: "
        "'31/03/2025 12:00'. Convert them: mapping.usage_events.occurred_at: "
        "try_strptime(occurred_at, '%d/%m/%Y %H:%M') in vars.yml."
    )


def test_few_unreadable_numbers_are_a_note(company: Company) -> None:
    first, second = RAW["prediction_logs"][1:]
    company.raw("prediction_logs", RAW["prediction_logs"][0], first, second.replace("0.2", "high"))
    assert only(company) == (
        "note company/raw/prediction_logs, column score: 1 of 2 values are no double: 'high'. "
        "Correct it, or convert it under mapping.prediction_logs.score in "
        "vars.yml."
    )


def test_empty_required_column(company: Company) -> None:
    company.raw(
        "usage_events", RAW["usage_events"][0], "u1,accepted,2025-03-01,,lead,2025-03-01 13:00:00"
    )
    assert only(company) == (
        "error company/raw/usage_events, column user_id: required, but empty in 1 of 1 rows. "
        "Correct it, or convert it under mapping.usage_events.user_id in "
        "vars.yml."
    )


def test_table_without_rows(company: Company) -> None:
    company.raw("serving_costs", RAW["serving_costs"][0])
    assert only(company) == (
        "warning company/raw/serving_costs: serving_costs has no rows. Deliver rows."
    )


def test_predictions_without_rows(company: Company) -> None:
    company.raw("prediction_logs", RAW["prediction_logs"][0])
    assert only(company) == (
        "error company/raw/prediction_logs: prediction_logs has no rows. Deliver rows."
    )


def test_no_decision_in_production(company: Company) -> None:
    header, *lines = RAW["prediction_logs"]
    rows = [f"{line},production" for line in lines]
    company.raw("prediction_logs", f"{header},environment", *rows)
    assert only(company) == (
        "error company/raw/prediction_logs, column environment: no row is in prod "
        "(found: 'production'). Map it: mapping.prediction_logs.environment in vars.yml; "
        "only prod counts."
    )


def test_rows_of_the_future_are_named_without_as_of(company: Company) -> None:
    company.settings(INPUTS.replace("as_of: 2025-04-01 00:00:00\n", ""))
    company.raw(
        "prediction_logs",
        RAW["prediction_logs"][0],
        "p1,lead,v1,2199-03-01 10:00:00,e1,0.9,2199-03-01 11:00:00",
    )
    assert findings(company)[0].startswith(
        "error company/raw/prediction_logs, column loaded_at: no row is visible: the earliest was "
        "loaded at 2199-03-01 11:00:00, after as_of "
    )


def test_no_known_model(company: Company) -> None:
    company.raw(
        "prediction_logs", *[line.replace("lead", "Lead") for line in RAW["prediction_logs"]]
    )
    assert only(company) == (
        "error company/raw/prediction_logs, column model_id: no row of a known model "
        "(found: 'Lead'). Add the model to company/seeds/model_registry.csv, or map model_id in "
        "vars.yml."
    )


@pytest.mark.parametrize(
    ("known", "unknown", "severity"),
    [
        (2, 1, "note"),
        (2_000, 20, "note"),
        (2, 19, "warning"),
        (1_900, 20, "warning"),
        (9, 20, "error"),
    ],
)
def test_share_of_broken_rows_tells_their_weight(
    company: Company, known: int, unknown: int, severity: str
) -> None:
    header, _, row = RAW["prediction_logs"]
    other = row.replace("lead", "churn")
    company.raw("prediction_logs", header, *[row] * known, *[other] * unknown)
    assert only(company).startswith(
        f"{severity} company/raw/prediction_logs, column model_id: {unknown} rows of unknown "
        "models are rejected: 'churn'."
    )


def test_broken_parquet_file_is_named(company: Company) -> None:
    (company.folder / "raw/usage_events/broken.parquet").write_bytes(b"not parquet at all")
    line = only(company)
    assert line.startswith(
        "error company/raw/usage_events/broken.parquet: not readable as Parquet: No magic bytes "
        "found"
    )
    assert line.endswith("Correct and deliver the file again, or move it out of the folder.")


def test_parquet_and_csv_of_one_table_are_read_together(company: Company) -> None:
    company.parquet(
        "usage_events",
        "select 'u2' as event_id, 'viewed' as event_name, timestamp '2025-03-01' as occurred_at, "
        "'bob' as user_id, 'lead' as model_id, timestamp '2025-03-01' as loaded_at, 5 as extra",
    )
    assert findings(company) == []


def test_parquet_in_dated_folders_is_found(company: Company) -> None:
    (company.folder / "raw/serving_costs/rows.csv").unlink()
    (company.folder / "raw/serving_costs/dt=2025-03-01").mkdir()
    company.parquet(
        "serving_costs",
        "select 'c1' as cost_id, 'lead' as model_id, timestamp '2025-03-01' as period_start, "
        "timestamp '2025-03-02' as period_end, 'compute' as cost_type, 1.0 as amount, "
        "'USD' as currency, timestamp '2025-03-02' as loaded_at",
        "dt=2025-03-01/part.parquet",
    )
    assert findings(company) == []


@pytest.mark.parametrize(
    ("rows", "ragged", "cells"),
    [
        (0, "u9,accepted,2025-03-01,ann,lead,2025-03-01,more", 7),
        (3, "u9,accepted", 2),
        (30_000, "u9,accepted", 2),
        (30_000, "u9,accepted,2025-03-01,ann,lead,2025-03-01,2025-03-01", 7),
    ],
)
def test_ragged_csv_row(company: Company, rows: int, ragged: str, cells: int) -> None:
    """Early rows confuse the sniffing of the delimiter, late ones are met in the middle."""
    header, row = RAW["usage_events"]
    company.raw("usage_events", header, *[row] * rows, ragged)
    assert only(company) == (
        f"error company/raw/usage_events/rows.csv, row {rows + 2}: {cells} cells, but the header "
        "has 6. Put a cell that holds the delimiter into double quotes; leave none out."
    )


@pytest.mark.parametrize(
    ("encoding", "place", "message"),
    [
        ("latin-1", ", row 2", "not UTF-8 text, but probably Latin1: byte 0xe4. "),
        ("cp1252", ", row 2", "not UTF-8 text, but probably Windows-1252: byte 0xe4. "),
        ("utf-16", "", "UTF-16 text, not UTF-8. "),
        ("utf-16-le", "", "UTF-16 text, not UTF-8. "),
    ],
)
def test_csv_of_another_encoding(company: Company, encoding: str, place: str, message: str) -> None:
    header, row = RAW["usage_events"]
    name = "änn…" if encoding == "cp1252" else "änn"
    path = company.raw("usage_events", header, row.replace("ann", name))
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    line = only(company)
    assert line.startswith(f"error company/raw/usage_events/rows.csv{place}: {message}")
    converted = re.fullmatch(r'.*Convert it: (iconv .*) > "utf8-rows.csv".', line)
    assert converted
    told = subprocess.run(
        shlex.split(converted[1]), cwd=path.parent, capture_output=True, check=True
    )
    path.write_bytes(told.stdout)
    assert findings(company) == []


@pytest.mark.parametrize("name", ["event_id", "Event_ID"])
def test_column_twice_in_a_raw_file(company: Company, throughline: Call, name: str) -> None:
    header, row = RAW["usage_events"]
    company.raw("usage_events", header, row)
    path = company.folder / "raw/usage_events/later.csv"
    path.write_text(f"{header},{name}\n{row},ann\n", encoding="utf-8")
    line = (
        "error company/raw/usage_events/later.csv: column event_id stands twice in the header. "
        "Rename or remove one: only the first would be read."
    )
    assert only(company) == line
    throughline("use", "company")
    built = throughline("build")
    assert (built.status, built.lines) == (1, [line])


def test_columns_whose_names_end_in_a_number_are_read(company: Company) -> None:
    header, row = RAW["usage_events"]
    company.raw("usage_events", f"{header},event_id_1", f"{row},x")
    assert findings(company) == []


def test_csv_with_semicolons_is_read(company: Company) -> None:
    company.raw("usage_events", *[line.replace(",", ";") for line in RAW["usage_events"]])
    assert findings(company) == []


# Which files are read


EVENT = "{},viewed,2025-03-01 12:00:00,ann,lead,2025-03-01 13:00:00"


def events(*names: str, delimiter: str = ",") -> bytes:
    rows = [RAW["usage_events"][0], *(EVENT.format(name) for name in names), ""]
    return "\n".join(rows).replace(",", delimiter).encode()


def seen_rows(company: Company, table: str = "usage_events") -> int:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    return {seen.delivered.table.name: seen.rows for seen in doctor.check(found).tables}[table]


def test_every_kind_of_file_is_read(company: Company) -> None:
    folder = company.folder / "raw/usage_events"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "rows.csv").unlink()
    (folder / "a/1.CSV").write_bytes(events("u1"))
    (folder / "2.tsv").write_bytes(events("u2", "u3", delimiter="\t"))
    (folder / "a/b/3.csv.gz").write_bytes(gzip.compress(events("u4")))
    (folder / "4.TSV.GZ").write_bytes(gzip.compress(events("u5", delimiter="\t")))
    typed = (
        "select 'u6' as event_id, 'viewed' as event_name, timestamp '2025-03-01' as occurred_at, "
        "'bob' as user_id, 'lead' as model_id, timestamp '2025-03-01' as loaded_at"
    )
    company.parquet("usage_events", typed, "a/b/5.Parquet")
    duckdb.execute(f"copy ({typed}) to '{folder}/6.csv.zst' (format csv, compression zstd)")
    assert findings(company) == []
    assert seen_rows(company) == 7


def test_macro_and_doctor_read_the_same_files() -> None:
    macro = (ROOT / "macros/warehouses/duckdb.sql").read_text(encoding="utf-8")
    listed = re.search(r"macro file_patterns\(\).*?endmacro", macro, re.DOTALL)
    assert listed
    assert re.findall("'(.*?)'", listed[0]) == list(inputs.PATTERNS)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("more.json", "Deliver Parquet or CSV."),
        ("more.ndjson.gz", "Deliver Parquet or CSV."),
        ("part/more.avro", "Deliver Parquet or CSV."),
        ("more.XLSX", "Save it as CSV in UTF-8."),
        ("more.csv.bz2", "Unpack it; CSV may be packed by gzip."),
        ("more.zip", "Unpack it; CSV may be packed by gzip."),
        ("more.pq", "Rename it to end in .parquet."),
        (
            "more",
            "Rename it to end in .csv or .tsv if it is one, else move it out of the folder.",
        ),
    ],
)
def test_file_that_is_not_read_is_named(company: Company, name: str, fix: str) -> None:
    path = company.folder / "raw/usage_events" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"something")
    for hidden in (".gitkeep", "_SUCCESS", ".rows.csv.crc"):
        (path.parent / hidden).touch()
    assert only(company) == (f"warning company/raw/usage_events: 1 file is not read: {name}. {fix}")


def test_folder_behind_a_link_is_named(company: Company) -> None:
    elsewhere = company.project / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "more.csv").write_bytes(events("u2"))
    (company.folder / "raw/usage_events/more").symlink_to(elsewhere)
    assert only(company) == (
        "warning company/raw/usage_events: 1 file is not read: more/more.csv. "
        "DuckDB follows no link to a folder: put the files themselves there."
    )


def test_pattern_that_leaves_files_is_named(company: Company) -> None:
    folder = company.folder / "logs"
    folder.mkdir()
    for name in ("events-1.csv", "events-2.csv.gz", "other.csv", "costs.csv"):
        (folder / name).write_bytes(events("u1"))
    (company.folder / "raw/serving_costs/rows.csv").rename(folder / "costs.csv")
    sources = "sources: {usage_events: logs/events-*.csv, serving_costs: logs/costs.csv}\n"
    company.settings(INPUTS + sources)
    assert findings(company) == [
        "warning company/logs: 2 files are not read: events-2.csv.gz, other.csv. "
        "Widen the pattern under sources in vars.yml, or move them out of the folder."
    ]


def test_files_of_a_table_that_is_no_input_are_named(company: Company) -> None:
    company.settings(INPUTS.replace(", serving_costs", ""))
    assert only(company) == (
        "warning company/raw/serving_costs: 1 file is not read, since inputs lacks "
        "serving_costs: rows.csv. Add it to inputs in vars.yml."
    )


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("_delta_log/00000.json", "Delta"),
        ("metadata/snap-1.avro", "Iceberg"),
        (".hoodie/hoodie.properties", "Hudi"),
    ],
)
def test_table_format_is_refused(company: Company, log: str, name: str) -> None:
    path = company.folder / "raw/usage_events" / log
    path.parent.mkdir()
    path.touch()
    lines = [line for line in findings(company) if line.startswith("error")]
    assert lines == [
        f"error company/raw/usage_events: usage_events is a {name} table, whose files also hold "
        "rows that are deleted. Export its rows as Parquet, or name a relation that reads it in "
        "sources."
    ]


def test_plain_dbt_names_files_and_refuses_table_formats(company: Company) -> None:
    (company.folder / "raw/prediction_logs/more.json").touch()
    (company.folder / "raw/usage_events/_delta_log").mkdir()
    (company.folder / "raw/usage_events/_delta_log/0.json").touch()
    ran = Project(company.project).dbt(company.folder, "run", "--select", "dim_dates")
    output = " ".join(ran.output.split())
    assert ran.status != 0
    assert (
        "raw table prediction_logs: 1 files are not read: raw/prediction_logs/more.json. "
        "Deliver them as Parquet or CSV, or move them out of the folder."
    ) in output
    assert "raw table usage_events is a Delta table in raw/usage_events/" in output


# What is read of a file


def test_file_without_anything_is_empty(company: Company) -> None:
    company.raw("usage_events", "")
    assert only(company) == (
        "error company/raw/usage_events/rows.csv: empty file. Deliver it again, or remove it."
    )


def test_empty_file_among_others_is_a_warning(company: Company) -> None:
    (company.folder / "raw/usage_events/more.csv").touch()
    assert only(company) == (
        "warning company/raw/usage_events/more.csv: empty file. Deliver it again, or remove it."
    )


def test_blank_line_above_the_header(company: Company) -> None:
    company.raw("usage_events", "", *RAW["usage_events"])
    assert findings(company)[0] == (
        "warning company/raw/usage_events/rows.csv, row 1: the first line is blank, so that the "
        "header is also read as a row, and rejected. Remove the line."
    )


def test_unknown_delimiter(company: Company) -> None:
    company.raw("usage_events", *[line.replace(",", "^") for line in RAW["usage_events"]])
    assert only(company) == (
        "error company/raw/usage_events/rows.csv: the columns of its header seem to be separated "
        "by '^'. Separate them by commas, semicolons, tabs or bars."
    )


def test_line_ends_of_two_kinds(company: Company) -> None:
    header, row = RAW["usage_events"]
    path = company.raw("usage_events", header, row)
    path.write_bytes(f"{header}\n{row}\r\n{row}\n".encode())
    assert only(company) == (
        "error company/raw/usage_events/rows.csv, row 2: line ends differ from those above: "
        "LF and CR LF. Write all lines alike, e.g. by dos2unix."
    )


def test_packed_file_that_is_cut(company: Company) -> None:
    path = company.folder / "raw/usage_events/more.csv.gz"
    path.write_bytes(gzip.compress(events(*map(str, range(99))))[:-20])
    line = only(company)
    assert line.startswith("error company/raw/usage_events/more.csv.gz: cannot be unpacked: ")


CELLS = ("#1", "a;b|c", "1,5", 'say ""x""', "two\nlines", "", " b ", "\\", "é", "null", "'", "a\tb")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", list(records.DELIMITERS))
def test_both_readers_read_the_same_cells(tmp_path: Path, delimiter: str, end: str) -> None:
    """Whatever the cells hold, which of them come first, and how many columns there are."""
    path = tmp_path / "rows.csv"
    for columns, shift, mark in product((1, 2, 5), range(0, len(CELLS), 3), ("", "\ufeff")):
        rows = [CELLS[at % len(CELLS)] for at in range(shift, shift + 60 * columns)]
        quoted = [f'"{cell}"' if cell.strip("#1b ") else cell for cell in rows]
        names = [f"#{name}" for name in range(columns)]
        lines = [names, *(quoted[at : at + columns] for at in range(0, len(quoted), columns))]
        text = mark + "".join(delimiter.join(line) + end for line in lines)
        path.write_text(text, encoding="utf-8", newline="")
        with duckdb.connect() as connection:
            read = inputs.csv_reader(str(path), ending=path.name)
            counted = records.difference(connection, path, read)
            compared = records.difference(connection, path, read, limit=1000)
        assert (counted, compared) == (None, None), (columns, shift, text)


@pytest.mark.parametrize("limit", [None, 5])
def test_first_row_that_a_reader_loses_is_named(tmp_path: Path, limit: int | None) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id,name\n1,a\n#2,b\n3,c\n")
    with duckdb.connect() as connection:
        found = records.difference(
            connection, path, f"read_csv('{path}', comment = '#', all_varchar = true)", limit=limit
        )
    assert found
    assert found.at("rows.csv") == "rows.csv, row 3"


def test_footers_tell_how_many_rows_there_are(company: Company) -> None:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    (company.folder / "raw/serving_costs/rows.csv").unlink()
    company.parquet(
        "serving_costs",
        "select 'c1' as cost_id, 'lead' as model_id, timestamp '2025-03-01' as period_start, "
        "timestamp '2025-03-02' as period_end, 'compute' as cost_type, 1.0 as amount, "
        "'USD' as currency, timestamp '2025-03-02' as loaded_at",
    )
    with duckdb.connect() as connection:
        delivered, _ = inputs.open_input(connection, found, found.contract["serving_costs"])
        seen = input_checks.look(connection, delivered)
        assert input_checks.check_records(connection, seen, workspace=found) == []
        (fault,) = input_checks.check_records(connection, replace(seen, rows=2), workspace=found)
    assert fault.what == "2 rows are read, but the footers of its files tell of 1"


# Times


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("1740830400", "seconds"),
        ("1740830400.0", "seconds"),
        ("1740830400000", "milliseconds"),
        ("1740830400000000", "microseconds"),
        ("1740830400000000000", "nanoseconds"),
        ("20250301120000", None),
        ("01.03.2025 12:00", None),
        ("13/01/2025", None),
        ("2025-13-01", None),
        ("03/13/2025 12:00:00 PM", None),
    ],
)
def test_proposed_conversion_reads_the_time(
    company: Company, written: str, unit: str | None
) -> None:
    header, row = RAW["usage_events"]
    company.raw("usage_events", header, row.replace("2025-03-01 12:00:00", written))
    line = findings(company)[0]
    assert (f"They are {unit}. " in line) == (unit is not None)
    proposed = re.search(r"Convert them: mapping\.usage_events\.(occurred_at: .*?) in vars", line)
    assert proposed
    company.settings(INPUTS + f"mapping:\n  usage_events:\n    {proposed[1]}\n")
    assert findings(company) == []
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    (seen,) = [
        seen for seen in doctor.check(found).tables if seen.delivered.table.name == "usage_events"
    ]
    thirteenth = {
        "13/01/2025": datetime(2025, 1, 13),
        "2025-13-01": datetime(2025, 1, 13),
        "03/13/2025 12:00:00 PM": datetime(2025, 3, 13, 12),
    }
    assert seen.event.first == thirteenth.get(written, datetime(2025, 3, 1, 12))


def test_times_of_which_some_are_read_go_on_being_read(company: Company) -> None:
    header, row = RAW["usage_events"]
    rows = [row, row.replace("u1", "u2").replace("2025-03-01 12:00:00", "1740830400")]
    company.raw("usage_events", header, *rows)
    proposed = re.search(r"(occurred_at: coalesce.*) in vars", only(company))
    assert proposed
    company.settings(INPUTS + f"mapping:\n  usage_events:\n    {proposed[1]}\n")
    assert findings(company) == []


def test_day_and_month_that_may_be_either_are_both_shown(company: Company) -> None:
    header, row = RAW["usage_events"]
    company.raw("usage_events", header, row.replace("2025-03-01 12:00:00", "03/01/2025"))
    line = only(company)
    assert "'%d/%m/%Y') in vars.yml. or mapping" in line
    assert "'%m/%d/%Y')" in line


@pytest.mark.parametrize(
    ("value", "read", "right"),
    [
        ("1740830400", "epoch_ms(cast(ts as bigint))", "to_timestamp(try_cast(ts as double))"),
        (
            "1740830400",
            "make_timestamp(try_cast(ts as bigint))",
            "to_timestamp(try_cast(ts as double))",
        ),
        (
            "1740830400000",
            "make_timestamp(try_cast(ts as bigint))",
            "epoch_ms(try_cast(ts as bigint))",
        ),
        (
            "1740830400000",
            "to_timestamp(try_cast(ts as bigint))",
            "epoch_ms(try_cast(ts as bigint))",
        ),
    ],
)
def test_conversion_by_a_wrong_unit(company: Company, value: str, read: str, right: str) -> None:
    header, row = RAW["usage_events"]
    company.raw(
        "usage_events",
        header.replace("occurred_at", "ts"),
        row.replace("2025-03-01 12:00:00", value),
    )
    company.settings(INPUTS + f"mapping: {{usage_events: {{occurred_at: {read}}}}}\n")
    line = only(company)
    assert line.startswith("error company/raw/usage_events, column occurred_at: half of its times")
    assert line.endswith(f"Convert them: mapping.usage_events.occurred_at: {right} in vars.yml.")
    company.settings(INPUTS + f"mapping: {{usage_events: {{occurred_at: {right}}}}}\n")
    assert findings(company) == []


def test_as_of_long_after_the_last_prediction(company: Company) -> None:
    company.settings(INPUTS.replace("2025-04-01", "2025-06-01"))
    assert only(company) == (
        "warning company/raw/prediction_logs, column predicted_at: as_of 2025-06-01 00:00:00 lies "
        "90 days past the last prediction, of 2025-03-02 10:00:00. Set as_of in vars.yml to the "
        "day after it, or deliver what came since."
    )


def test_dates_far_from_those_of_other_tables(company: Company) -> None:
    header, row = RAW["usage_events"]
    rows = [row, row.replace("u1", "u2").replace("2025-03-01 12", "2052-03-01 12")]
    company.raw("usage_events", header, *rows)
    assert only(company) == (
        "warning company/raw/usage_events, column occurred_at: 1 of 2 times lie far from those of "
        "the other tables (2025-03-01 to 2025-04-01), e.g. 2052-03-01 12:00:00. "
        "Correct them, or convert them by their unit in vars.yml."
    )


# Rows against settings and seeds


def test_configured_segment_that_is_absent(company: Company) -> None:
    company.settings(INPUTS + "segments: [channel]\nnumeric_features: [age]\n")
    assert findings(company) == [
        "warning company/vars.yml: segments: prediction_logs has no column channel. "
        "Deliver it, map it, or take it out of segments.",
        "warning company/vars.yml: numeric_features: prediction_logs has no column age. "
        "Deliver it, map it, or take it out of numeric_features.",
    ]


def test_currency_without_rate(company: Company) -> None:
    rows = [line.replace("EUR", "GBP") for line in RAW["business_outcomes"]]
    company.raw("business_outcomes", *rows)
    assert only(company) == (
        "warning company/raw/business_outcomes, column currency: no exchange rate for 'GBP': "
        "1 amounts are refused. Add the currency to exchange_rates.csv."
    )


def test_assignments_of_undeclared_experiments(company: Company) -> None:
    company.settings(INPUTS.replace("]", ", experiment_assignments]"))
    header = "experiment_id,unit_id,variant,assigned_at,loaded_at"
    rows = [f"{name},e1,control,2025-03-01,2025-03-02" for name in ("told", "old", "old", "odd")]
    company.raw("experiment_assignments", header, *rows)
    company.seed("experiments", TOLD)
    assert only(company) == (
        "warning company/raw/experiment_assignments, column experiment_id: "
        "3 assignments of undeclared experiments: 'old', 'odd'. "
        "Declare them in company/seeds/experiments.csv to have them read."
    )


def test_label_outcome_that_never_happens(company: Company) -> None:
    company.seed("model_registry", REGISTRY[0].replace("converted", "conversion"))
    assert only(company) == (
        "warning company/seeds/model_registry.csv, row 2, column label_outcome: no delivered "
        "outcome is named 'conversion' (found: 'converted', 'revenue'). "
        "Correct it, or deliver such outcomes."
    )


def test_an_amount_of_which_nobody_says_whether_it_is_money(company: Company) -> None:
    company.seed("model_registry", REGISTRY[0].replace("revenue", "sale"))
    rows = [line.replace("revenue", "sale") for line in RAW["business_outcomes"]]
    company.raw("business_outcomes", *rows)
    assert only(company) == (
        "warning company/seeds/model_registry.csv, row 2, column amount_outcome: nothing says "
        "whether 'sale' is money: it counts as no revenue. "
        "Add it to outcome_kinds.csv, as money, or as other where it is a loss."
    )
    company.seed("outcome_kinds", "sale,other,,Ann,What is lost")
    assert findings(company) == []


def test_positive_label_that_never_happens(company: Company) -> None:
    company.seed("model_registry", REGISTRY[0].replace("converted,true", "converted,Sold"))
    assert only(company) == (
        "warning company/seeds/model_registry.csv, row 2, column positive_label: no 'converted' "
        "has the label 'Sold' (found: 'true'). Correct it: upper and lower case count."
    )


@pytest.mark.parametrize(("declared", "delivered"), [("True", "true"), ("1", "1.0"), ("no", "NO")])
def test_a_positive_label_is_met_in_any_writing_that_the_build_reads_alike(
    company: Company, declared: str, delivered: str
) -> None:
    company.seed("model_registry", REGISTRY[0].replace("converted,true", f"converted,{declared}"))
    rows = [line.replace("true", delivered) for line in RAW["business_outcomes"]]
    company.raw("business_outcomes", *rows)
    assert findings(company) == []


def test_as_of_before_every_row(company: Company) -> None:
    company.settings(INPUTS.replace("2025-04-01 00:00:00", "2024-01-01"))
    assert findings(company)[0] == (
        "error company/raw/prediction_logs, column loaded_at: no row is visible: the earliest was "
        "loaded at 2025-03-01 11:00:00, after as_of 2024-01-01 00:00:00. "
        "Correct as_of in vars.yml, or loaded_at."
    )


# Versions, folder, .env, warehouse


def test_versions(project: Path) -> None:
    installed = {"duckdb": "2.0.0", "dbt-core": "1.12.0"}
    found = doctor.check_versions(
        project, installed=lambda name: installed.get(name) or version(name)
    )
    near, far = map(str, found)
    assert near.startswith("versions: dbt-core is 1.12.0, pinned is 1.12.")
    assert far.startswith("versions: duckdb is 2.0.0, pinned is 1.5.")
    assert far.endswith("Install the pinned versions: make setup")
    assert [finding.severity for finding in found] == ["warning", "error"]


def test_package_that_is_not_installed(project: Path) -> None:
    def installed(name: str) -> str:
        if name == "duckdb":
            raise PackageNotFoundError
        return version(name)

    (finding,) = doctor.check_versions(project, installed=installed)
    assert str(finding) == (
        "versions: duckdb is not installed. Install the pinned versions: make setup"
    )


def test_unsupported_python(project: Path) -> None:
    (finding,) = doctor.check_versions(project, python=(3, 14))
    assert str(finding) == (
        "versions: Python 3.14 is not supported. "
        "Use Python 3.10 to 3.13: make clean setup PYTHON=python3.12"
    )


def test_folder_that_cannot_be_written(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda place, _: place != company.folder)
    assert only(company) == (
        "error company: folder is not writable. "
        "The build writes warehouse.duckdb there: chmod u+wx company"
    )


def test_project_that_dbt_cannot_write(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda place, _: place != company.project)
    assert findings(company) == [
        "error logs: dbt cannot write there. "
        "Make its folder writable, or name another in DBT_LOG_PATH.",
        "error target: dbt cannot write there. "
        "Make its folder writable, or name another in DBT_TARGET_PATH.",
    ]
    monkeypatch.setenv("DBT_LOG_PATH", "company/logs")
    (company.project / ".env").write_text(f"DBT_TARGET_PATH={company.folder}/target\n")
    assert findings(company) == []


def test_env_file_older_than_settings(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    company.settings(INPUTS + "minimum_cell: 5\n")
    assert only(company) == (
        "warning .env: older than the settings or seeds of the workspace. "
        "Plain dbt would use the old ones: throughline use company"
    )


def test_faulty_settings_are_findings(company: Company) -> None:
    company.settings("minimum_cel: 5\n")
    assert only(company) == (
        "error company/vars.yml: unknown setting 'minimum_cel'. Did you mean 'minimum_cell'?"
    )


HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_warehouse_in_use_names_the_process(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    path = company.folder / "warehouse.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", dedent(HOLD), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        warning = only(company)
        built, lifted = throughline("build"), throughline("lift")
        holder.communicate("")
    assert warning.startswith("warning company/warehouse.duckdb: in use by python")
    assert warning.endswith(f"(process {holder.pid}). Close it and try again.")
    assert (built.status, lifted.status) == (1, 1)
    assert built.lines == lifted.lines == [warning.replace("warning", "error", 1)]


def test_warehouse_that_is_no_database(company: Company) -> None:
    path = company.folder / "warehouse.duckdb"
    path.write_bytes(b"something else entirely" * 1000)
    line = only(company)
    assert line.startswith("warning company/warehouse.duckdb: cannot be opened: ")
    assert line.endswith("Move it away: the build makes another, without the lift of earlier days.")


@pytest.mark.parametrize("reason", ["Permission denied", "Read-only file system"])
def test_warehouse_that_may_not_be_written(
    company: Company, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def connect(path: str) -> None:
        raise duckdb.IOException(f'IO Error: Cannot open file "{path}": {reason}')

    path = company.folder / "warehouse.duckdb"
    path.touch()
    monkeypatch.setattr(duckdb, "connect", connect)
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    assert str(places.lock_fault(found)) == (
        f'company/warehouse.duckdb: cannot be opened: IO Error: Cannot open file "{path}": '
        f"{reason}. Make the file and its folder writable."
    )


def test_seeds_and_raw_files_may_be_read_only(company: Company) -> None:
    for path in company.folder.rglob("*.csv"):
        path.chmod(stat.S_IRUSR)
    assert findings(company) == []


@pytest.mark.slow
def test_rows_are_judged_by_the_rules_of_the_build(company: Company, throughline: Call) -> None:
    """Of files, and of a relation of the warehouse."""
    header, row = RAW["usage_events"]
    accepted = row.replace("accepted", "Accepted")
    rows = [accepted.replace("u1", f"u{number}") for number in range(20)]
    delivered = company.raw("usage_events", header, *rows)
    with duckdb.connect(str(company.folder / "warehouse.duckdb")) as connection:
        connection.execute(f"create schema lake; create table lake.events as from '{delivered}'")
    delivered.unlink()
    company.settings(INPUTS + "sources: {usage_events: lake.events}\n")
    header, *rows = RAW["prediction_logs"]
    scored = rows[0].replace("p1", "p3").replace("0.9", "90")
    slow = rows[0].replace("p1", "p4") + ",-1"
    company.raw(
        "prediction_logs",
        f"{header},latency_ms",
        *(f"{row},5" for row in rows),
        scored + ",5",
        slow,
    )
    header, *rows = RAW["business_outcomes"]
    early = rows[0].replace("o1", "o3").replace("true,,,2025-03-05", "true,,,2025-03-06")
    company.raw("business_outcomes", header, *rows, early)
    throughline("use", "company")
    before = company.bytes()
    ended = throughline("doctor")
    assert ended.status == 1
    said = [line.split(". Correct")[0] for line in ended.lines]
    assert said == [
        "error relation lake.events (usage_events): 20 of 20 rows are rejected: event_name is not "
        "one of exposed, viewed, accepted, rejected, overridden, edited, dismissed, task_completed "
        "(20 of lead, e.g. 'u0')",
        "warning company/raw/prediction_logs: nulled cells of lead, latency_ms is below 0: "
        "1 of 3, e.g. -1.0",
        "note company/raw/prediction_logs: 1 of 4 rows are rejected: score is outside 0 to 1 for "
        "a binary model (1 of lead, e.g. 'p3')",
        "note company/raw/business_outcomes: 1 of 3 rows are rejected: observed_at is before "
        "occurred_at (1, e.g. 'o3')",
    ]
    assert company.bytes() == before
    assert not (company.project / "target").exists()
