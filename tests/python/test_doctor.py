"""The doctor names each fault of a workspace in one line with its place and fix."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import dedent

import duckdb
import pytest

from conftest import INPUTS, RAW, REGISTRY, SEED_ROWS, Company, Outcome
from throughline import doctor, places, workspace

Call = Callable[..., Outcome]


TOLD = (
    "told,lead,It helps,entity,control,control:0.5;treatment:0.5,2025-03-01,2025-04-01,,14,,"
    "fixed,,,"
    "precision,,,0.05,relative,0.05,0.8,,,,,ann,why"
)


def findings(company: Company) -> list[str]:
    found = workspace.at(company.folder, project=company.project, chosen_by="test")
    return [f"{finding.severity} {finding}" for finding in doctor.check(found)]


def only(company: Company) -> str:
    (line,) = findings(company)
    assert "\n" not in line
    return line


def test_sound_workspace_has_no_finding(company: Company) -> None:
    assert findings(company) == []


def test_command_says_all_is_well(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    ended = throughline("doctor")
    assert (ended.status, ended.out, ended.err) == (0, "company: all is well\n", "")


def test_command_counts_and_exits(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    company.seed("unit_values", "lead,tp,ten,0.1,USD,2025-01-01,,ann,why")
    (company.folder / "seeds" / "notes.csv").write_text("a\n", encoding="utf-8")
    ended = throughline("doctor")
    assert ended.status == 1
    assert ended.out == "company: 1 error, 1 warning\n"
    assert [line.split()[0] for line in ended.lines] == ["error", "warning"]


def test_json_report(company: Company, throughline: Call) -> None:
    throughline("use", "company")
    company.seed("unit_values", "lead,tp,ten,0.1,USD,2025-01-01,,ann,why")
    ended = throughline("doctor", "--json")
    assert ended.status == 1
    assert ended.err == ""
    assert ended.report == {
        "workspace": "company",
        "errors": 1,
        "warnings": 0,
        "findings": [
            {
                "severity": "error",
                "what": "'ten' is not a number",
                "where": "company/seeds/unit_values.csv, row 2, column fixed_amount",
                "fix": "Write it like 12.5.",
            }
        ],
    }


def test_nothing_is_written(company: Company) -> None:
    before = company.bytes()
    findings(company)
    assert company.bytes() == before
    assert not (company.folder / "warehouse.duckdb").exists()


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
    "model_id,model_name,product,task,team,charter,label_outcome,positive_label,amount_outcome,"
    "decision_threshold,horizon_days,label_delay_days,negative_on_absence,reference_from,"
    "reference_to,owner,rationale"
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
            "precision,*,*,*,,0.4,,,,,2025-01-01,,ann,why",
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
            "precision,*,*,*,0.5,0.4,,,,,2025-02-01,2025-01-01,ann,why",
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
            "precision,leads,*,*,0.5,0.4,,,,,2025-01-01,,ann,why",
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
    company.seed("metric_targets", "precison,*,*,*,0.5,0.4,,,,,2025-01-01,,ann,why")
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
    assert only(company) == (
        "error company/raw/usage_events: no Parquet or CSV file for usage_events "
        "(found: events.json). Put files there or name their place under sources in vars.yml, "
        "or leave the table out of inputs."
    )


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


def test_epoch_milliseconds_are_shown_their_mapping(company: Company) -> None:
    (company.folder / "raw/usage_events/rows.csv").unlink()
    company.parquet(
        "usage_events",
        "select 'u1' as event_id, 'viewed' as event_name, 1740000000000 as occurred_at, "
        "'ann' as user_id, 'lead' as model_id, timestamp '2025-03-01' as loaded_at",
    )
    assert only(company) == (
        "error company/raw/usage_events, column occurred_at: 1 of 1 values are no timestamp: "
        "'1740000000000'. Convert it: "
        "mapping.usage_events.occurred_at: epoch_ms(cast(occurred_at as bigint)) in vars.yml."
    )
    company.settings(
        INPUTS + "mapping: {usage_events: {occurred_at: epoch_ms(cast(occurred_at as bigint))}}\n"
    )
    assert findings(company) == []


def test_unreadable_timestamps(company: Company) -> None:
    company.raw(
        "usage_events",
        RAW["usage_events"][0],
        "u1,accepted,31/03/2025 12:00,ann,lead,2025-03-01 13:00:00",
    )
    assert only(company) == (
        "error company/raw/usage_events, column occurred_at: 1 of 1 values are no timestamp: "
        "'31/03/2025 12:00'. Correct it, or convert it under mapping.usage_events.occurred_at "
        "in vars.yml."
    )


def test_some_unreadable_numbers_are_a_warning(company: Company) -> None:
    first, second = RAW["prediction_logs"][1:]
    company.raw("prediction_logs", RAW["prediction_logs"][0], first, second.replace("0.2", "high"))
    assert only(company) == (
        "warning company/raw/prediction_logs, column score: 1 of 2 values are no double: 'high'. "
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
    company.raw(
        "prediction_logs",
        RAW["prediction_logs"][0],
        "p1,lead,v1,2199-03-01 10:00:00,e1,0.9,2199-03-01 11:00:00",
    )
    assert only(company).startswith(
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


def test_some_unknown_models_are_a_warning(company: Company) -> None:
    rows = [*RAW["prediction_logs"], RAW["prediction_logs"][1].replace("lead", "churn")]
    company.raw("prediction_logs", *rows)
    assert only(company).startswith(
        "warning company/raw/prediction_logs, column model_id: 1 rows of unknown models are "
        "rejected: 'churn'."
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
    ("rows", "message"),
    [
        (3, " has 2 cells, but the header has 6. "),
        (30_000, ": Expected Number of Columns: 6 Found: 2. "),
    ],
)
def test_ragged_csv_row(company: Company, rows: int, message: str) -> None:
    """Early rows confuse the sniffing of the delimiter, late ones are met in the middle."""
    header, row = RAW["usage_events"]
    company.raw("usage_events", header, *[row] * rows, "u9,accepted", row)
    line = only(company)
    assert line.startswith(f"error company/raw/usage_events/rows.csv: row {rows + 2}")
    assert message in line


def test_csv_of_another_encoding(company: Company) -> None:
    header, row = RAW["usage_events"]
    path = company.raw("usage_events", header, row.replace("ann", "änn"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert only(company) == (
        "error company/raw/usage_events/rows.csv: not readable as CSV: row 2: Invalid unicode "
        "(byte sequence mismatch) detected. "
        "Correct and deliver the file again, or move it out of the folder."
    )


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


def test_positive_label_that_never_happens(company: Company) -> None:
    company.seed("model_registry", REGISTRY[0].replace("converted,true", "converted,True"))
    assert only(company) == (
        "warning company/seeds/model_registry.csv, row 2, column positive_label: no 'converted' "
        "has the label 'True' (found: 'true'). Correct it: upper and lower case count."
    )


def test_as_of_before_every_row(company: Company) -> None:
    company.settings(INPUTS + "as_of: 2024-01-01\n")
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
