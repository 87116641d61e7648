"""Quiet means unchanged: a corrupted delivery leaves every fact as it was, or the door names it.

The corpus is every kind of corruption that fits the type of a column, times every column of the
contract, so that a new column is covered by itself.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache

import duckdb
import pandas as pd
import pytest

import door
from building import NO_UNIT_TESTS, ROOT, Project, query
from throughline import doctor, input_checks, seeds
from throughline.contract import Column, read_contract
from throughline.findings import Finding
from throughline.workspace import Workspace, create

Cell = Callable[[str], str]
STOPPED = "from main_core.fct_input_checks where status = 'stop'"


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")


def moved(**by: int) -> Cell:
    return lambda text: f"{moment(text) + timedelta(**by):%Y-%m-%d %H:%M:%S}"


def formed(form: str) -> Cell:
    return lambda text: f"{moment(text):{form}}"


def constant(text: str) -> Cell:
    return lambda _: text


NOTHING = constant("")


def since_1970(factor: int) -> Cell:
    return lambda text: str(int(moment(text).replace(tzinfo=timezone.utc).timestamp()) * factor)


WORDS: Mapping[str, Cell] = {word: constant(word) for word in ("nan", "None", "NULL", "NaT")}
WRITINGS: Mapping[str, Cell] = {
    "the other case": str.swapcase,
    "a blank before": lambda text: f" {text}",
    "a blank after": lambda text: f"{text} ",
}
KINDS: Mapping[str, Mapping[str, Cell]] = {
    "id": {
        "as a floating point number": lambda text: f"{text}.0",
        **WRITINGS,
        **WORDS,
    },
    "name": {**WRITINGS, **WORDS},
    "double": {
        "a decimal comma": lambda text: f"{text}5".replace(".", "") + ",5",
        "a unit": lambda text: f"{text} EUR",
        "infinity": constant("inf"),
        "more digits": lambda text: f"{text}0" if "." in text else f"{text}.0",
        "a blank before": lambda text: f" {text}",
        **WORDS,
    },
    "integer": {"a fraction": constant("1.7"), "with .0": lambda text: f"{text}.0", **WORDS},
    "boolean": {
        "a word": constant("maybe"),
        "capitals": str.upper,
        "one letter": lambda text: text[0],
        **WORDS,
    },
    "timestamp": {
        "day first": formed("%d/%m/%Y %H:%M"),
        "month first": formed("%m/%d/%Y %I:%M %p"),
        "a date without a time": formed("%Y-%m-%d"),
        "without seconds": formed("%Y-%m-%d %H:%M"),
        "with T and Z": formed("%Y-%m-%dT%H:%M:%SZ"),
        "with an offset": formed("%Y-%m-%d %H:%M:%S+00:00"),
        "the end of time": constant("9999-12-31"),
        "the beginning of time": constant("0001-01-01 00:00:00"),
        "twenty years early": moved(days=-7305),
        "three years late": moved(days=1096),
        "seconds since 1970": since_1970(1),
        "milliseconds since 1970": since_1970(1000),
        "microseconds since 1970": since_1970(10**6),
        **WORDS,
    },
}


@dataclass(frozen=True)
class Corruption:
    table: str
    column: str
    kind: str
    change: Cell
    is_whole: bool

    def __str__(self) -> str:
        part = "all" if self.is_whole else "some"
        return f"{self.table}.{self.column}: {part} {self.kind}"

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """All filled cells of the column, or a third of them, in small tables half."""
        changed = frame.copy()
        filled = [row for row, text in enumerate(frame[self.column]) if text]
        for row in filled[:: 1 if self.is_whole else max(2, min(3, len(filled) // 20))]:
            changed.loc[row, self.column] = self.change(frame.loc[row, self.column])
        return changed


def kind_of(column: Column) -> str:
    if column.data_type != "string":
        return column.data_type
    return "id" if column.name.endswith("_id") else "name"


SOUND = {
    ("effective_to", "the end of time"),
    ("eligible_to", "the end of time"),
    ("eligible_to", "three years late"),
    ("planned_at", "a date without a time"),
}
"""What may well be meant: an end lies far ahead, and a plan names the day alone."""


def corruptions(frames: Mapping[str, pd.DataFrame]) -> Iterator[Corruption]:
    for name, table in read_contract(ROOT).items():
        for column in table.columns:
            if (name, column.name) in door.PROSE or not frames[name][column.name].astype(
                bool
            ).any():
                continue
            kinds = dict(KINDS[kind_of(column)])
            if (name, column.name) in door.BOUNDED:
                kinds["minus one"] = constant("-1")
            if column.required:
                kinds["empty"] = NOTHING
            for kind, change in kinds.items():
                if (column.name, kind) not in SOUND:
                    for is_whole in (False, True):
                        yield Corruption(name, column.name, kind, change, is_whole)


FRAMES = door.company()
CORPUS = list(corruptions(FRAMES))
SAMPLE = set(random.Random(6).sample(range(len(CORPUS)), 150))
"""What `make test` tries of the corpus; `make test-all` tries the rest too."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[door.Door]:
    project = Project.without_comments(tmp_path_factory.mktemp("door") / "project")
    folder = project.root / "company"
    headers = {name: spec.header for name, spec in seeds.read_specs(ROOT).items()}
    create(folder, project=project.root, headers=headers)
    door.write_seeds(folder)
    (folder / "vars.yml").write_text("as_of: '2026-06-01 00:00:00'\n", encoding="utf-8")
    door.deliver(folder, FRAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        yield door.Door.compile(project, folder)


Numbers = dict[str, tuple[object, ...]]


def numbers(built: duckdb.DuckDBPyConnection, database: str = "warehouse") -> Numbers:
    """A digest of each relation that marts are made of, without ids, which are no numbers."""
    digests = {}
    for relation, condition in door.NUMBERS.items():
        columns = [
            f'round("{name}", 6)' if kind == "DOUBLE" else f'"{name}"'
            for name, kind, *_ in built.sql(f"describe built.{relation}").fetchall()
            if name == "model_id" or not name.endswith("_id")
        ]
        digest = f"count(*), sum(hash({', '.join(columns)}))"
        query = f"select {digest} from {database}.{relation} where {condition}"
        digests[relation] = built.sql(query).fetchone() or ()
    return digests


def named(built: duckdb.DuckDBPyConnection, corruption: Corruption) -> list[tuple[str, ...]]:
    """What the door says of the corrupted column: with place and fix, in the lines of the build.

    What a key names is said where it is missed; refused and invisible rows are always said.
    """
    return built.execute(
        "select check_name, detail, status, example, fix from main_core.fct_input_checks "
        "where fix <> '' and ("
        "  (status in ('warn', 'stop')"
        "    and (table_name = $1 or check_name = 'arms_met'"
        "      or contains(concat_ws(' ', detail, fix, example), $1))"
        "    and contains(concat_ws(' ', detail, fix, example), $2))"
        "  or (table_name = $1 and check_name = 'rejected_rows' and contains(detail, $2))"
        "  or (table_name = $1 and check_name = 'invisible_rows' and affected_count > 0"
        "    and $2 = 'loaded_at'))",
        [corruption.table, corruption.column],
    ).fetchall()


def told(sound: door.Door, built: duckdb.DuckDBPyConnection) -> list[Finding]:
    """What `throughline doctor` says of the files as they are, of which `built` was made."""
    workspace = Workspace(project=sound.root, folder=sound.folder, chosen_by="the test")
    files, _ = doctor.check_seeds(workspace)
    findings, tables = input_checks.check_inputs(
        workspace, settings=workspace.settings, files=files
    )
    if any(finding.severity == "error" for finding in findings):
        return findings
    rows = built.sql("from main_core.fct_input_checks").df().to_dict("records")
    return findings + input_checks.judged(rows, tables)


def test_the_sound_company_is_quiet(sound: door.Door) -> None:
    built = sound.run()
    loud = "from main_core.fct_input_checks where status <> 'ok'"
    assert built.sql(loud).fetchall() == []
    assert told(sound, built) == []
    assert numbers(built) == numbers(built, "built")


@pytest.fixture(scope="module")
def emptied() -> dict[Corruption, Numbers]:
    """The numbers of the company without the cells that a corruption changes."""
    return {}


@contextmanager
def corrupted(sound: door.Door, corruption: Corruption) -> Iterator[duckdb.DuckDBPyConnection]:
    path = sound.folder / "raw" / corruption.table / "rows.csv"
    before = path.read_bytes()
    try:
        corruption.apply(FRAMES[corruption.table]).to_csv(path, index=False)
        yield sound.run()
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    "corruption",
    [
        pytest.param(
            corruption, marks=() if number in SAMPLE else pytest.mark.thorough, id=str(corruption)
        )
        for number, corruption in enumerate(CORPUS)
    ],
)
def test_a_corruption_changes_nothing_or_is_named(
    sound: door.Door, emptied: dict[Corruption, Numbers], corruption: Corruption
) -> None:
    with corrupted(sound, corruption) as built:
        found = numbers(built)
        if found == numbers(built, "built"):
            return
        is_said = [corruption.column in str(finding) for finding in told(sound, built)]
        is_named = bool(named(built, corruption))
    if is_named:
        assert any(is_said), "the build names it, and the doctor does not"
    else:
        # a word for nothing is a missing value, and has its number
        assert corruption.kind in WORDS, f"{found} differ, and nothing says why"
        without = replace(corruption, kind="empty", change=NOTHING)
        if without not in emptied:
            with corrupted(sound, without) as built:
                emptied[without] = numbers(built)
        assert found == emptied[without]


@dataclass(frozen=True)
class Delivered:
    """What became of a changed delivery."""

    built: duckdb.DuckDBPyConnection

    def value(self, query: str) -> object:
        row = self.built.sql(query).fetchone()
        assert row is not None
        return row[0]

    def says(self, table: str, check: str) -> list[str]:
        """The statuses of a check, but for those that are ok."""
        query = (
            "select status from main_core.fct_input_checks "
            "where table_name = $1 and check_name = $2 and status <> 'ok' order by status"
        )
        return [status for (status,) in self.built.execute(query, [table, check]).fetchall()]


Deliver = Callable[..., Delivered]


def quiet(found: Delivered) -> bool:
    return numbers(found.built) == numbers(found.built, "built")


@pytest.fixture
def deliver(sound: door.Door) -> Iterator[Deliver]:
    """Delivers some tables otherwise; the sound files come back."""
    places = {table: sound.folder / "raw" / table / "rows.csv" for table in FRAMES}
    before = {place: place.read_bytes() for place in places.values()}

    def call(**frames: pd.DataFrame) -> Delivered:
        for table, frame in frames.items():
            frame.to_csv(places[table], index=False)
        return Delivered(sound.run())

    yield call
    for place, content in before.items():
        place.write_bytes(content)


def changed(table: str, **cells: Cell | str) -> pd.DataFrame:
    """A sound table with every filled cell of some columns changed, or the column set."""
    frame = FRAMES[table].copy()
    for column, change in cells.items():
        if isinstance(change, str):
            frame[column] = change
        else:
            frame[column] = [change(text) if text else text for text in frame[column]]
    return frame


def later(frame: pd.DataFrame, **by: int) -> pd.DataFrame:
    return frame.assign(loaded_at=[moved(**by)(text) for text in frame["loaded_at"]])


MODELS = ("lead", "price")
LEADS = FRAMES["prediction_logs"][FRAMES["prediction_logs"]["model_id"] == "lead"]
NAMED = FRAMES["business_outcomes"][FRAMES["business_outcomes"]["prediction_id"] != ""]


def test_ids_that_became_floating_point_numbers_stop(deliver: Deliver) -> None:
    found = deliver(
        business_outcomes=changed("business_outcomes", prediction_id=lambda text: f"{text}.0")
    )
    assert found.says("business_outcomes", "keys_met") == ["stop"] * 3
    example = found.value(f"select min(example) {STOPPED} and check_name = 'keys_met'")
    assert re.fullmatch(r"'(\d+)\.0' against '\1' of prediction_logs", str(example))


def test_few_ids_in_another_writing_stop_as_well(deliver: Deliver) -> None:
    few = changed("business_outcomes", prediction_id=lambda text: f"{text}.0").iloc[:6]
    assert "stop" in deliver(business_outcomes=few).says("business_outcomes", "keys_met")


def test_outcomes_of_nobody_we_know_stop(deliver: Deliver) -> None:
    strangers = changed("business_outcomes", prediction_id=lambda text: f"x-{text}")
    found = deliver(business_outcomes=strangers)
    assert found.says("business_outcomes", "keys_met") == ["stop"] * 3


def test_a_list_of_eligible_users_under_other_ids_than_use_stops(deliver: Deliver) -> None:
    found = deliver(usage_events=changed("usage_events", user_id=lambda text: f"x-{text}"))
    assert found.says("eligible_users", "keys_met") == ["stop"]
    example = found.value(f"select example {STOPPED} and check_name = 'keys_met'")
    assert re.fullmatch(r"'\d+' against 'x-\d+' of usage_events", str(example))


def test_one_eligible_user_who_used_the_model_is_enough(deliver: Deliver) -> None:
    used = FRAMES["usage_events"].query("model_id == 'lead'").user_id.iloc[0]
    strangers = changed("usage_events", user_id=lambda text: text if text == used else f"x-{text}")
    assert deliver(usage_events=strangers).says("eligible_users", "keys_met") == []


def test_one_id_for_two_outcomes_stops(deliver: Deliver) -> None:
    one_id = changed("business_outcomes", outcome_id=lambda text: f"order{text[1:]}")
    found = deliver(business_outcomes=one_id)
    assert found.says("business_outcomes", "reused_keys") == ["stop"]


def test_few_ids_for_two_outcomes_stop_as_well(deliver: Deliver) -> None:
    one_id = changed("business_outcomes", outcome_id=lambda text: f"order{text[1:]}")
    few = one_id[one_id["outcome_name"] != "sold_for"].iloc[:10]
    assert "stop" in deliver(business_outcomes=few).says("business_outcomes", "reused_keys")


def test_two_models_that_number_alike_are_told_how_to_map(deliver: Deliver) -> None:
    twins = pd.concat([LEADS, LEADS.assign(model_id="price")])
    found = deliver(prediction_logs=twins)
    assert found.says("prediction_logs", "reused_keys") == ["stop"]
    fix = found.value(f"select fix {STOPPED} and check_name = 'reused_keys'")
    assert "model_id || '-' || prediction_id" in str(fix)


def test_a_correction_is_no_reused_key(deliver: Deliver) -> None:
    rows = FRAMES["prediction_logs"]
    corrected = later(rows.iloc[:100], days=1).assign(score="0.25", channel="phone")
    found = deliver(prediction_logs=pd.concat([rows, corrected]))
    assert found.says("prediction_logs", "reused_keys") == []
    corrected_count = "select count(*) from main_core.fct_decisions where channel = 'phone'"
    assert found.value(corrected_count) == 100
    copies = "select sum(copy_count) from main_staging.chk_prediction_logs"
    assert found.value(copies) == len(rows) + 100


def test_a_missing_id_is_no_other_thing(deliver: Deliver) -> None:
    rows = FRAMES["prediction_logs"]
    without = later(rows, days=1).assign(user_id="")
    found = deliver(prediction_logs=pd.concat([rows, without]))
    assert found.says("prediction_logs", "reused_keys") == []


def test_another_user_under_the_same_key_warns(deliver: Deliver) -> None:
    rows = FRAMES["prediction_logs"]
    merged = later(rows, days=1).assign(user_id="merged")
    found = deliver(prediction_logs=pd.concat([rows, merged]))
    assert found.says("prediction_logs", "reused_keys") == ["warn"]


def test_delivered_twice_is_delivered_once(deliver: Deliver) -> None:
    twice = {table: pd.concat([frame, later(frame, days=1)]) for table, frame in FRAMES.items()}
    built = deliver(**twice).built
    assert numbers(built) == numbers(built, "built")


def test_a_cost_that_ended_is_named_and_waited_for_no_longer(deliver: Deliver) -> None:
    costs = FRAMES["serving_costs"]
    storage = costs[costs["cost_type"] == "storage"]
    found = deliver(serving_costs=costs.drop(storage.index[1:]))
    assert found.says("serving_costs", "ended_costs") == ["warn"]
    example = found.value(
        "select example from main_core.fct_input_checks where check_name = 'ended_costs'"
    )
    assert str(example).startswith(storage["period_end"].iloc[0])


def test_event_names_that_are_not_mapped_stop(deliver: Deliver) -> None:
    found = deliver(usage_events=changed("usage_events", event_name=str.title))
    assert found.says("usage_events", "rejected_rows") == ["stop"]


def test_a_failed_call_is_a_call(deliver: Deliver) -> None:
    failed = changed("prediction_logs", latency_ms="-1", error_type="timeout")
    found = deliver(prediction_logs=failed)
    assert found.value("select count(*) from main_core.fct_decisions where error_count > 0") == 300
    assert found.value("select count(latency_ms) from main_core.fct_decisions") == 0
    assert found.says("prediction_logs", "nulled_cells") == ["warn", "warn"]


def test_a_log_without_status_does_not_say_that_all_was_well(deliver: Deliver) -> None:
    asked = """
        select sum(numerator), sum(denominator), sum(excluded_count), sum(unit_count)
        from main_metrics.fct_metrics where metric = $1 and segment_name = 'all'"""
    rows = FRAMES["prediction_logs"]
    odd = pd.Series(range(len(rows))) % 5 == 0
    half = rows.assign(status_code=rows["status_code"].where(odd, ""), error_type="")
    for frame, told in (
        (changed("prediction_logs", status_code="", error_type=""), 0),
        # what is no error in a log of errors alone may as well be a call that was lost
        (half, odd.sum()),
    ):
        built = deliver(prediction_logs=frame).built
        left_out = len(rows) - told
        assert built.execute(asked, ["availability"]).fetchone() == (told, told, left_out, told)
        assert built.execute(asked, ["error_rate"]).fetchone() == (0, told, left_out, told)


def test_errors_alone_give_no_rate(deliver: Deliver) -> None:
    """Without any status code there is no unit that a value could stand on."""
    rows = FRAMES["prediction_logs"]
    odd = pd.Series(range(len(rows))) % 5 == 0
    errors = pd.Series("timeout", index=rows.index).where(odd, "")
    built = deliver(prediction_logs=rows.assign(status_code="", error_type=errors)).built
    units = """
        select sum(unit_count) from main_metrics.fct_metrics
        where metric in ('availability', 'error_rate')"""
    assert built.execute(units).fetchone() == (0,)


def test_the_end_of_time_is_an_open_end(deliver: Deliver) -> None:
    rows = FRAMES["eligible_users"]
    endless = rows.assign(eligible_to=[text or "9999-12-31" for text in rows["eligible_to"]])
    assert quiet(deliver(eligible_users=endless))


def test_truth_has_one_spelling(deliver: Deliver) -> None:
    for change in (str.upper, str.title, lambda text: f" {text} "):
        delivered = deliver(business_outcomes=changed("business_outcomes", outcome_label=change))
        assert quiet(delivered)


def test_a_positive_class_that_is_spelled_otherwise_stops(deliver: Deliver) -> None:
    spelled = changed("business_outcomes", outcome_label={"true": "Y", "false": "N"}.__getitem__)
    assert deliver(business_outcomes=spelled).says("business_outcomes", "classes") == ["stop"]


def test_who_left_is_read_from_any_yes_or_no_and_other_words_are_named(deliver: Deliver) -> None:
    checks = FRAMES["business_outcomes"].query("outcome_name == 'converted'")
    was_yes = checks["outcome_label"] == "true"
    checks = checks.assign(
        outcome_id="left-" + checks["outcome_id"], outcome_name="churned", outcome_value="1"
    )

    def left(yes: str, no: str) -> tuple[list[str], int]:
        labelled = checks.assign(outcome_label=was_yes.map({True: yes, False: no}))
        found = deliver(business_outcomes=pd.concat([FRAMES["business_outcomes"], labelled]))
        count = found.value(
            "select count(distinct outcome_id) from main_core.fct_outcomes "
            "where outcome_kind = 'churn' and outcome_label = 'true'"
        )
        return found.says("business_outcomes", "classes"), int(str(count))

    expected = int(was_yes.sum())
    assert left("true", "false") == ([], expected)
    assert left("YES", "No") == ([], expected)
    assert left("1.0", "0.0") == ([], expected)
    assert left("gone", "no") == (["warn"], 0)
    assert left("true", "") == (["warn"], expected)


def test_what_was_done_about_no_alert_is_named(deliver: Deliver) -> None:
    known = ["recall_floor:lead", "recall_floor:price", "recall_floor:lead:channel=web"]
    unknown = ["recall_floor", "recall:lead", "recall_floor:leads", "Recall_floor:lead", "lead"]
    rows = FRAMES["alert_actions"].tail(len(known + unknown))
    found = deliver(
        alert_actions=rows.assign(alert_key=known + unknown, loaded_at=rows.loaded_at.max())
    )
    assert found.says("alert_actions", "alerts_met") == ["warn"]
    count = found.value(
        "select affected_count from main_core.fct_input_checks where check_name = 'alerts_met'"
    )
    assert count == len(unknown)


def test_a_predicted_class_that_is_spelled_otherwise_stops(deliver: Deliver) -> None:
    rows = FRAMES["prediction_logs"]
    is_lead = rows["model_id"] == "lead"
    labels = pd.Series([("True", "False")[at % 2] for at in range(len(rows))])

    def says(written: Mapping[str, str]) -> list[str]:
        frame = rows.assign(predicted_label=labels.map(written).where(is_lead, ""))
        return deliver(prediction_logs=frame).says("prediction_logs", "classes")

    assert says({"True": "TRUE", "False": "false"}) == []
    assert says({"True": "1.0", "False": "0.0"}) == ["stop"]
    assert says({"True": "T", "False": "F"}) == ["stop"]
    assert says({"True": "lost", "False": "false"}) == ["warn"]


def test_words_for_nothing_are_named_where_they_may_be_a_name(deliver: Deliver) -> None:
    found = deliver(prediction_logs=changed("prediction_logs", error_type="nan"))
    assert found.says("prediction_logs", "words_for_nothing") == ["warn"]


def test_of_several_exposures_the_first_counts(deliver: Deliver) -> None:
    rows = FRAMES["experiment_assignments"]
    again = [
        later(
            rows.assign(
                assigned_at=[moved(days=day)(text) for text in rows["assigned_at"]],
                first_exposed_at=[moved(days=day)(text) for text in rows["first_exposed_at"]],
            ),
            days=day,
        )
        for day in (3, 1, 2)
    ]
    assert quiet(deliver(experiment_assignments=pd.concat([*again, rows])))


def test_a_variant_that_nobody_planned_is_named(deliver: Deliver) -> None:
    rows = FRAMES["experiment_assignments"].copy()
    rows.loc[rows.index[:12], "variant"] = "treatmnt"
    found = deliver(experiment_assignments=rows)
    assert found.says("experiment_assignments", "variants") == ["warn"]


def test_an_arm_that_nothing_knows_stops(deliver: Deliver) -> None:
    rows = FRAMES["experiment_assignments"]
    more = pd.concat(
        [
            rows.assign(variant="control"),
            rows.assign(variant="treatment", unit_id="x" + rows["unit_id"]),
        ]
    )
    found = deliver(experiment_assignments=more)
    assert found.says("experiment_assignments", "arms_met") == ["stop"]


def test_an_outcome_of_the_day_belongs_to_the_decision_of_that_day(deliver: Deliver) -> None:
    """In the morning of the decision, by its date alone; with a time it came before."""
    outcomes = FRAMES["business_outcomes"].iloc[:0]
    lead = LEADS.iloc[0]
    row = {
        "outcome_id": "o",
        "outcome_name": "converted",
        "entity_id": lead["entity_id"],
        "outcome_label": "true",
        "occurred_at": lead["predicted_at"][:10],
        "observed_at": lead["predicted_at"][:10],
        "loaded_at": lead["loaded_at"],
    }
    positives = (
        "select sum(actual_positive_count) from main_core.fct_decisions "
        f"where prediction_id = '{lead['prediction_id']}'"
    )
    dated = pd.DataFrame([row], columns=outcomes.columns, dtype=object).fillna("")
    assert deliver(business_outcomes=dated).value(positives) == 1
    midnight = f"{lead['predicted_at'][:10]} 00:00:00"
    timed = dated.assign(occurred_at=midnight, observed_at=midnight)
    assert deliver(business_outcomes=timed).value(positives) == 0


def test_the_future_labels_nothing(deliver: Deliver) -> None:
    ahead = changed("business_outcomes", occurred_at=moved(days=400), observed_at=moved(days=400))
    labelled = "select count(*) from main_core.fct_decisions where actual_label is not null"
    assert deliver(business_outcomes=ahead).value(labelled) == 0


def test_an_answer_without_a_scale_is_no_dissatisfied_one(deliver: Deliver) -> None:
    found = deliver(feedback=changed("feedback", scale_min="", scale_max=""))
    assert found.value("select sum(scaled_count) from main_core.fct_feedback") == 0
    assert found.value("select sum(answered_count) from main_core.fct_feedback") == 60


def test_errors_of_amounts_are_in_the_reporting_currency(deliver: Deliver) -> None:
    def errors(found: Delivered) -> float:
        return float(str(found.value("select sum(actual_value) from main_core.fct_decisions")))

    plain = errors(deliver())
    rows = FRAMES["business_outcomes"]
    euros = rows.assign(
        currency=[
            "EUR" if name == "sold_for" else other
            for name, other in zip(rows["outcome_name"], rows["currency"], strict=True)
        ]
    )
    assert errors(deliver(business_outcomes=euros)) == pytest.approx(1.1 * plain)


def test_ids_may_begin_with_a_hash(deliver: Deliver) -> None:
    def hashed(text: str) -> str:
        return f"#{text}"

    found = deliver(
        prediction_logs=changed("prediction_logs", prediction_id=hashed),
        usage_events=changed("usage_events", prediction_id=hashed),
        business_outcomes=changed("business_outcomes", prediction_id=hashed),
        feedback=changed("feedback", prediction_id=hashed),
    )
    assert found.value("select count(*) from main_core.fct_decisions") == 300
    sums = "sum(actual_positive_count), sum(accepted_count), sum(value_amount)"
    both = [
        found.built.sql(f"select {sums} from {side}.main_core.fct_decisions").fetchone()
        for side in ("warehouse", "built")
    ]
    assert both[0] == pytest.approx(both[1])


# Thresholds, at their edges and beside them


Counts = tuple[int, int]
"""How many of how many."""


@pytest.fixture(scope="module")
def judge(sound: door.Door) -> Iterator[Callable[..., str]]:
    """The status that a check gives to checked rows which some statements wrote.

    What affects nothing and is sound has no row.
    """
    built = sound.run()
    judged = dict(sound.statements)["fct_input_checks"]

    def status(statements: str, *, table: str, check: str, detail: str) -> str:
        built.execute(f"begin; use warehouse.main_staging; {statements}")
        try:
            built.execute(f"drop table main_core.fct_input_checks; {judged}")
            found = built.execute(
                "select status from main_core.fct_input_checks "
                "where table_name = $1 and check_name = $2 and detail = $3",
                [table, check, detail],
            ).fetchall()
        finally:
            built.execute("rollback; use warehouse")
        assert len(found) <= 1
        return str(found[0][0]) if found else "ok"

    yield status
    built.close()


def outcomes(name: str, met: int, count: int, *, days_before: int = 0) -> str:
    """Outcomes that name decisions, of which so many are there; earlier ones name others."""
    order = "desc" if days_before else "asc"
    return f"""
        insert into chk_business_outcomes by name
        select
            '{name}' as outcome_name,
            case
                when number <= {met} then prediction_id
                else '{days_before} ' || number
            end as prediction_id,
            'of {days_before} ' || number as outcome_id,
            timestamp '2026-05-20 12:00:00' - interval {days_before} day as loaded_at,
            1 as copy_count
        from (
            select prediction_id, row_number() over (order by prediction_id {order}) as number
            from chk_prediction_logs
        )
        where number <= {count};"""


@pytest.mark.parametrize(
    ("now", "before", "sampled", "expected"),
    [
        ((79, 100), None, 1, "warn"),
        ((80, 100), None, 1, "ok"),
        ((81, 100), None, 1, "ok"),
        ((39, 100), None, 0.5, "warn"),
        ((40, 100), None, 0.5, "ok"),
        ((69, 100), (90, 100), 0.5, "warn"),
        ((70, 100), (90, 100), 0.5, "ok"),
        ((71, 100), (90, 100), 0.5, "ok"),
        ((0, 19), None, 1, "warn"),
        ((0, 20), None, 1, "stop"),
        ((0, 21), None, 1, "stop"),
        ((1, 20), None, 1, "warn"),
        ((0, 20), (20, 20), 1, "stop"),
    ],
)
def test_too_few_keys_are_met(
    judge: Callable[..., str], now: Counts, before: Counts | None, sampled: float, expected: str
) -> None:
    rows = outcomes("converted", *now)
    if before:
        rows += outcomes("converted", *before, days_before=28)
    status = judge(
        "truncate chk_business_outcomes;"
        f"update chk_prediction_logs set sampling_fraction = {sampled}; {rows}",
        table="business_outcomes",
        check="keys_met",
        detail="converted by prediction_id",
    )
    assert status == expected


def test_what_arrived_within_28_days_is_of_now(judge: Callable[..., str]) -> None:
    old = [
        "truncate chk_business_outcomes;"
        + outcomes("converted", 0, 20, days_before=days)
        + outcomes("converted", 1, 1)
        for days in (27, 28)
    ]
    asked = {"table": "business_outcomes", "check": "keys_met"}
    found = [judge(rows, **asked, detail="converted by prediction_id") for rows in old]
    assert found == ["warn", "ok"]


def test_outcomes_that_no_model_lives_by_do_not_stop(judge: Callable[..., str]) -> None:
    rows = "truncate chk_business_outcomes;" + outcomes("ticket", 0, 20)
    asked = {"table": "business_outcomes", "check": "keys_met"}
    assert judge(rows, **asked, detail="ticket by prediction_id") == "warn"


def test_a_key_that_was_written_otherwise_long_ago_stops_nothing(judge: Callable[..., str]) -> None:
    odd = """
        insert into chk_business_outcomes by name
        select
            'converted' as outcome_name, upper(prediction_id) as prediction_id, 'odd' as outcome_id,
            timestamp '2026-03-20 12:00:00' as loaded_at, 1 as copy_count
        from chk_prediction_logs
        where upper(prediction_id) not in (select prediction_id from chk_prediction_logs)
        limit 1;"""
    asked = {"table": "business_outcomes", "check": "keys_met"}
    rows = "truncate chk_business_outcomes;" + outcomes("ticket", 1, 1) + odd
    assert judge(rows, **asked, detail="converted by prediction_id") == "warn"
    rows += odd.replace("2026-03-20", "2026-05-20").replace("'odd'", "'odd now'")
    assert judge(rows, **asked, detail="converted by prediction_id") == "stop"


@pytest.mark.parametrize(
    ("days", "gap", "silent", "expected"),
    [
        (10, 1, 62, "ok"),
        (10, 1, 63, "warn"),
        (9, 1, 63, "ok"),
        (10, 7, 70, "ok"),
        (10, 7, 71, "warn"),
    ],
)
def test_a_name_of_outcomes_that_ended_is_named(
    judge: Callable[..., str], days: int, gap: int, silent: int, expected: str
) -> None:
    """Its silence counts from the last outcome of any name, not from as_of."""
    rows = f"""
        truncate chk_business_outcomes;
        insert into chk_business_outcomes by name
        select
            'order' as outcome_name, 'o' || number as outcome_id, 1 as copy_count,
            timestamp '2026-05-01' - interval ({silent} + {gap} * number) day as observed_at,
            observed_at as occurred_at
        from range({days}) as days (number)
        union all by name
        select
            'invoice' as outcome_name, 'last' as outcome_id, 1 as copy_count,
            timestamp '2026-05-01' as observed_at, observed_at as occurred_at;"""
    asked = {"table": "business_outcomes", "check": "ended_outcomes", "detail": "order"}
    assert judge(rows, **asked) == expected


def arm(variant: str, met: int, count: int) -> str:
    """Units of an arm of the trial, of whom so many made a decision."""
    return f"""
        insert into chk_experiment_assignments by name
        select
            'trial' as experiment_id, '{variant}' as variant, 1 as copy_count,
            case
                when number < {met} then 'met ' || number
                else '{variant} ' || number
            end as unit_id
        from range({count}) as units (number);"""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ((24, 100), (50, 100), "warn"),
        ((25, 100), (50, 100), "warn"),
        ((26, 100), (50, 100), "ok"),
        ((12, 49), (100, 100), "ok"),
        ((12, 50), (100, 100), "warn"),
        ((12, 51), (100, 100), "warn"),
        ((0, 49), (100, 100), "ok"),
        ((0, 50), (49, 100), "warn"),
        ((0, 50), (50, 100), "stop"),
        ((0, 50), (51, 100), "stop"),
        ((0, 50), (0, 100), "stop"),
        ((0, 49), (0, 49), "ok"),
    ],
)
def test_too_few_units_of_an_arm_are_met(
    judge: Callable[..., str], low: Counts, high: Counts, expected: str
) -> None:
    known = "update chk_prediction_logs set user_id = null; insert into chk_prediction_logs by name"
    known += (
        " select 'met ' || number as user_id, 1 as copy_count from range(100) as users (number);"
    )
    arms = arm("control", *low) + arm("treatment", *high)
    # the arm with the lowest share is the one that is told of, of those that are large enough
    is_told = low[1] >= 50 or high[1] < 50
    status = judge(
        f"truncate chk_experiment_assignments; {known} {arms}",
        table="experiment_assignments",
        check="arms_met",
        detail=f"trial {'control' if is_told else 'treatment'}",
    )
    assert status == expected


@pytest.mark.parametrize(
    ("over_time", "together", "count", "expected"),
    [
        (0, 0, 4000, "ok"),
        (1, 0, 4000, "warn"),
        (19, 0, 3000, "warn"),
        (20, 0, 4001, "warn"),
        (20, 0, 4000, "warn"),
        (20, 0, 3999, "stop"),
        (0, 19, 4000, "warn"),
        (0, 20, 4000, "stop"),
        (0, 21, 4000, "stop"),
        (0, 1, 2, "warn"),
        (0, 2, 3, "stop"),
    ],
)
def test_too_many_keys_stand_for_two_things(
    judge: Callable[..., str], over_time: int, together: int, count: int, expected: str
) -> None:
    rows = f"""
        truncate chk_business_outcomes;
        insert into chk_business_outcomes by name
        select
            'o' || number as outcome_id, 'converted' as outcome_name, 1 as copy_count,
            case
                when number < {together} then 2
                when number < {together + over_time} then 1
                else 0
            end as outcome_name_reuse
        from range({count}) as outcomes (number);"""
    asked = {"table": "business_outcomes", "check": "reused_keys"}
    assert judge(rows, **asked, detail="outcome_name") == expected


@pytest.mark.parametrize(
    ("rejected", "count", "expected"),
    [
        (19, 38, "ok"),
        (20, 2001, "ok"),
        (20, 2000, "ok"),
        (20, 1999, "warn"),
        (20, 41, "warn"),
        (20, 40, "warn"),
        (20, 39, "stop"),
        (19, 19, "ok"),
    ],
)
def test_too_many_rows_are_rejected(
    judge: Callable[..., str], rejected: int, count: int, expected: str
) -> None:
    rows = f"""
        truncate chk_feedback;
        insert into chk_feedback by name
        select
            'f' || number as response_id, 1 as copy_count,
            case when number < {rejected} then 'broken' end as reject_reason
        from range({count}) as answers (number);"""
    assert judge(rows, table="feedback", check="rejected_rows", detail="") == expected


def test_rejected_rows_are_counted_by_the_model_they_name(deliver: Deliver) -> None:
    rows = FRAMES["prediction_logs"].copy()
    rows.loc[rows.index[:7], "score"] = "high"
    rows.loc[rows.index[7:12], "model_id"] = "nobody"
    found = deliver(prediction_logs=rows)
    counted = found.built.sql(
        "select model_id, detail, affected_count, checked_count from main_core.fct_input_checks "
        "where table_name = 'prediction_logs' and check_name = 'rejected_rows' and detail <> ''"
    ).df()
    refused = {
        "(none)": rows[rows["model_id"] == "nobody"],
        **{model: rows[rows["model_id"] == model].query("score == 'high'") for model in MODELS},
    }
    assert counted.set_index("model_id")["affected_count"].to_dict() == {
        model: len(frame) for model, frame in refused.items()
    }
    totals = rows["model_id"].replace("nobody", "(none)").value_counts()
    assert counted.set_index("model_id")["checked_count"].to_dict() == totals.to_dict()


def test_the_share_of_keys_that_were_met_before_stands_beside(deliver: Deliver) -> None:
    rows = FRAMES["usage_events"].copy()
    loaded = pd.to_datetime(rows["loaded_at"])
    is_earlier = loaded <= loaded.max() - pd.Timedelta(days=28)
    strangers = is_earlier & (pd.Series(range(len(rows))) % 3 == 0)
    rows.loc[strangers, "prediction_id"] = "x" + rows["prediction_id"]
    found = deliver(usage_events=rows).built.sql(
        "select model_id, detail, affected_share from main_core.fct_input_checks "
        "where table_name = 'usage_events' and check_name = 'keys_met'"
    )
    keys = rows.assign(is_met=~strangers).drop_duplicates(["model_id", "prediction_id"])
    recent_keys = set(rows["prediction_id"][~is_earlier])
    keys = keys.assign(
        detail=[
            "prediction_id" + ("" if key in recent_keys else " before")
            for key in keys["prediction_id"]
        ]
    )
    expected = keys.groupby(["model_id", "detail"])["is_met"].mean()
    shares = found.df().set_index(["model_id", "detail"])["affected_share"]
    pd.testing.assert_series_equal(
        shares.sort_index(), expected.sort_index(), check_names=False, check_dtype=False
    )


@pytest.mark.parametrize("table", ["model_releases", "serving_costs"])
def test_versions_that_are_written_otherwise_are_named(deliver: Deliver, table: str) -> None:
    for change in (str.upper, lambda text: f"{text}.0"):
        found = deliver(**{table: changed(table, model_version=change)})
        assert found.says(table, "spellings") == ["warn"]
    renamed = changed(table, model_version=lambda text: f"release {text}")
    assert deliver(**{table: renamed}).says(table, "spellings") == []


@pytest.mark.parametrize(
    ("table", "column"), [("business_outcomes", "outcome_name"), ("kpi_annotations", "scope")]
)
def test_what_the_configuration_writes_otherwise_is_named(
    deliver: Deliver, table: str, column: str
) -> None:
    found = deliver(**{table: changed(table, **{column: str.title})})
    assert found.says(table, "spellings") == ["warn"]


def test_ids_in_another_unicode_form_are_said_to_be(deliver: Deliver) -> None:
    """Programs on one system write é as one sign, those on another as a letter and its accent."""
    logged = changed("prediction_logs", prediction_id=lambda text: f"é{text}")
    named = {
        table: changed(table, prediction_id=lambda text: f"e\u0301{text}")
        for table in ("usage_events", "feedback", "business_outcomes")
    }
    found = deliver(prediction_logs=logged, **named)
    assert found.says("business_outcomes", "keys_met") == ["stop"] * 3
    fixes = f"select string_agg(distinct fix) {STOPPED} and check_name = 'keys_met'"
    assert found.value(fixes) == (
        "They differ in their unicode form alone: map prediction_id to one (NFC) in vars.yml."
    )


# What a user meets


@pytest.mark.slow
def test_what_stops_leaves_all_below_as_it_was(sound: door.Door) -> None:
    folder = sound.root / "stopped"
    shutil.copytree(sound.folder, folder)
    project = Project(sound.root)
    place = folder / "raw/usage_events/rows.csv"
    uses = "select * from fct_usage order by all"
    before = query(folder, uses)
    changed("usage_events", event_name=str.upper).to_csv(place, index=False)
    uses_and_health = (
        *NO_UNIT_TESTS,
        *(
            "--select",
            "+fct_usage",
            "+mart_input_health",
            "model_metrics",
            "cost_budgets",
            "stg_alert_actions",
        ),
    )
    run = project.build(folder, *uses_and_health)
    assert run.status == 1
    assert "is_sound_stg_usage_events" in run.output
    assert "input usage_events 300 delivered, 0 kept, 300 rejected (event_name is not one of" in (
        run.output
    )
    pd.testing.assert_frame_equal(query(folder, uses), before)
    health = "from mart_input_health where status = 'stop'"
    stopped = query(folder, f"select table_name, check_name, affected_count, fix {health}")
    assert stopped[["table_name", "check_name", "affected_count"]].to_numpy().tolist() == [
        ["usage_events", "rejected_rows", 300]
    ]
    # what was mended goes on from where it stood
    deliver_rows = FRAMES["usage_events"]
    deliver_rows.to_csv(place, index=False)
    mended = project.build(folder, *uses_and_health)
    assert mended.status == 0, mended.output
    pd.testing.assert_frame_equal(query(folder, uses), before)
    # who says so may go on all the same
    changed("usage_events", event_name=str.upper).to_csv(place, index=False)
    tolerated = ("--vars", "{tolerated_checks: [usage_events.rejected_rows]}")
    # without tests of facts that are not built here
    run = project.build(folder, *uses_and_health, *tolerated, "--indirect-selection", "cautious")
    assert run.status == 0, run.output
    health = "from mart_input_health where status in ('stop', 'tolerated')"
    found = query(folder, f"select table_name, check_name, status {health}")
    assert found.to_numpy().tolist() == [["usage_events", "rejected_rows", "tolerated"]]


@pytest.mark.slow
def test_what_stops_holds_back_all_that_is_made_of_it(sound: door.Door) -> None:
    """dbt skips a model below a failed test only where the model is made of all the test reads."""
    manifest = json.loads((sound.root / "target/manifest.json").read_text(encoding="utf-8"))
    parents = manifest["parent_map"]

    @cache
    def above(node: str) -> frozenset[str]:
        return frozenset(parents[node]).union(*map(above, parents[node]))

    gates = {
        name: frozenset(parents[name])
        for name in parents
        if name.startswith(("test.throughline.is_sound", "test.throughline.meets_its_keys"))
    }
    assert len(gates) == 10 + 5
    open_gates = [
        (gate, node, sorted(reads - above(node)))
        for gate, reads in gates.items()
        for node in parents
        if node.startswith("model.")
        and above(node) >= {read for read in reads if read.startswith("model.")}
        and not above(node) >= reads
    ]
    assert not open_gates


def test_every_table_of_the_contract_is_looked_at(sound: door.Door) -> None:
    manifest = json.loads((sound.root / "target/manifest.json").read_text(encoding="utf-8"))
    tables = read_contract(ROOT)
    checked = {f"model.throughline.chk_{table}" for table in tables}
    raw = {f"source.throughline.raw.{table}" for table in tables}
    for model, read in (
        ("stg_arrivals", checked),
        ("fct_input_checks", checked),
        ("int_delivered_rows", raw),
    ):
        assert read <= set(manifest["parent_map"][f"model.throughline.{model}"])


REACHED = {
    "usage_events": {"decisions", "lists", "usage", "costs", "rejections"},
    "business_outcomes": {"decisions", "lists", "outcomes", "costs", "rejections"},
    "eligible_users": {"usage", "rejections"},
    "experiment_assignments": {"rejections"},
    "feedback": {"feedback", "rejections"},
    "model_releases": {"releases", "version_days", "rejections"},
    "serving_costs": {"costs", "rejections"},
    "kpi_annotations": {"rejections"},
    "alert_actions": {"rejections"},
}
"""The semantic models that rows of a raw table can change; costs are shared out by decisions."""


@pytest.mark.parametrize("table", REACHED)
def test_lineage_names_only_what_a_raw_table_can_change(sound: door.Door, table: str) -> None:
    """As `dbt ls --select source:raw.<table>+` reads it."""
    manifest = json.loads((sound.root / "target/manifest.json").read_text(encoding="utf-8"))
    below = {f"source.throughline.raw.{table}"}
    queue = list(below)
    while queue:
        for child in manifest["child_map"].get(queue.pop(), ()):
            if child not in below:
                below.add(child)
                queue.append(child)
    reached = {node.split(".")[-1] for node in below if node.startswith("semantic_model.")}
    assert reached == REACHED[table]
    metrics = {node for node in below if node.startswith("metric.")}
    assert 0 < len(metrics) < len(manifest["metrics"])
