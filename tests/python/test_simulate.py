"""The simulated logs keep the contract, repeat themselves, and hold what truth.json says."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from throughline.simulate import SimulationError, simulate

PROJECT = Path(__file__).parents[2]
AS_OF = "timestamp '2026-07-01 00:00:00'"
ARGUMENTS: dict[str, Any] = {"predictions": 24_000, "days": 120, "seed": 11}
DUCKDB_TYPES = {
    "string": {"VARCHAR"},
    "double": {"DOUBLE"},
    "integer": {"INTEGER", "BIGINT"},
    "boolean": {"BOOLEAN"},
    "timestamp": {"TIMESTAMP"},
}


def contract() -> dict[str, dict[str, Any]]:
    """The raw tables that a company delivers, as models/staging/_sources.yml declares them."""
    path = PROJECT / "models/staging/_sources.yml"
    tables = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"][0]["tables"]
    return {
        table["name"]: table
        for table in tables
        if not table["config"]["meta"].get("may_be_missing")
    }


def seed_rows(name: str) -> list[dict[str, str]]:
    with (PROJECT / f"seeds/{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Company:
    """A simulated workspace: its truth, and its raw files as a database reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
        self.connection = duckdb.connect()
        self.connection.execute("set TimeZone = 'UTC'")
        for table, declared in contract().items():
            files = str(folder / f"raw/{table}/*")
            if list((folder / "raw" / table).glob("*.csv")):
                self.connection.execute(
                    f"create view {table} as from read_csv('{files}.csv', all_varchar = true)"
                )
            else:
                self.connection.execute(
                    f"create view {table} as from read_parquet('{files}.parquet')"
                )
            self._stage(table, declared)

    def _stage(self, table: str, declared: dict[str, Any]) -> None:
        """Read a raw table as the contract says: good rows, and per key the last visible copy."""
        delivered = set(self.columns(table))
        columns = [column for column in declared["columns"] if column["name"] in delivered]
        casts = ", ".join(
            f"try_cast({column['name']} as {column['data_type']}) as {column['name']}"
            for column in columns
        )
        others = delivered - {column["name"] for column in declared["columns"]}
        extra = "".join(f", {name}" for name in sorted(others))
        faults = ["false"]
        bad_cells: dict[str, str] = {}
        for column in columns:
            name, meta = column["name"], column.get("config", {}).get("meta", {})
            if meta.get("required"):
                faults.append(f"{name} is null")
            if meta.get("known_model"):
                models = ", ".join(f"'{row['model_id']}'" for row in seed_rows("model_registry"))
                faults.append(f"{name} not in ({models})")
            if "one_of" in meta:
                faults.append(f"{name} not in ({', '.join(map(repr, meta['one_of']))})")
            outside = [
                f"{name} {operator} {meta[rule]}"
                for rule, operator in (("at_least", "<"), ("at_most", ">"), ("above", "<="))
                if rule in meta
            ]
            if outside and meta["on_bad"] == "null":
                bad_cells[name] = f"coalesce({' or '.join(outside)}, false)"
            else:
                faults += outside
            if "latest" in meta:
                # every moment is written with its time of day
                extra += f", try_cast({name} as timestamp) as {meta['latest']}"
        for check in declared["config"]["meta"].get("checks", []):
            faults.append(check["fails_when"].replace("registry.task = 'binary'", "true"))
        key = ", ".join(declared["config"]["meta"]["key"])
        kept = [f"if({bad}, null, {name}) as {name}" for name, bad in bad_cells.items()]
        self.connection.execute(
            f"""
            create table read_{table} as
            select * {f"replace ({', '.join(kept)})" if kept else ""},
                {" or ".join(bad_cells.values()) or "false"} as has_bad_cell,
                coalesce({" or ".join(f"({fault})" for fault in faults)}, false) as is_faulty
            from (select {casts}{extra} from {table});
            create table good_{table} as
            from read_{table} where not is_faulty and loaded_at <= {AS_OF}
            qualify row_number() over (partition by {key} order by loaded_at desc) = 1
            """
        )

    def columns(self, table: str) -> dict[str, str]:
        rows = self.connection.execute(f"describe {table}").fetchall()
        return {row[0]: row[1] for row in rows}

    def value(self, query: str) -> Any:
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return row[0]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    folder = tmp_path_factory.mktemp("company")
    simulate(out=folder, **ARGUMENTS)
    return Company(folder)


def fingerprint(folder: Path) -> dict[str, tuple[int, int]]:
    """Rows and an order-free checksum of every raw file."""
    connection = duckdb.connect()

    def read(path: Path) -> str:
        # every text as it is: some are planted that no type can read
        return f"read_csv('{path}', all_varchar = true)" if path.suffix == ".csv" else f"'{path}'"

    return {
        path.relative_to(folder).as_posix(): connection.execute(
            f"select count(*), sum(hash(delivered)::hugeint) from {read(path)} as delivered"
        ).fetchall()[0]
        for path in sorted(folder.rglob("raw/*/*"))
    }


def test_same_arguments_give_the_same_rows(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"predictions": 3_000, "days": 60}
    first = simulate(out=tmp_path / "first", seed=5, **arguments)
    assert simulate(out=tmp_path / "again", seed=5, **arguments) == first
    assert simulate(out=tmp_path / "other", seed=6, **arguments)["models"] != first["models"]
    prints = {name: fingerprint(tmp_path / name) for name in ("first", "again", "other")}
    assert prints["first"] == prints["again"]
    for path in ("prediction_logs/fraud_detection", "usage_events/lead_scoring"):
        name = f"raw/{path}.parquet"
        assert prints["first"][name] != prints["other"][name]


def test_rows_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"predictions": 300_000, "days": 30, "seed": 3}
    simulate(out=tmp_path / "many", **arguments)
    connect = duckdb.connect

    def connect_to_one_thread(
        database: str, *, config: dict[str, Any]
    ) -> duckdb.DuckDBPyConnection:
        return connect(database, config=config | {"threads": 1})

    with monkeypatch.context() as patched:
        patched.setattr(duckdb, "connect", connect_to_one_thread)
        simulate(out=tmp_path / "one", **arguments)
    assert fingerprint(tmp_path / "many") == fingerprint(tmp_path / "one")


def test_columns_and_types_are_those_of_the_contract(company: Company) -> None:
    settings = yaml.safe_load((company.folder / "vars.yml").read_text())
    free = {"channel", "device", "region", "age_band", "gender"}
    free |= set(settings["numeric_features"]) | set(settings["categorical_features"])
    for table, declared in contract().items():
        types = {column["name"]: column["data_type"] for column in declared["columns"]}
        delivered = company.columns(table)
        assert not set(types) - set(delivered), table
        assert set(delivered) - set(types) <= free, table
        if list((company.folder / "raw" / table).glob("*.parquet")):
            for name, expected in types.items():
                assert delivered[name] in DUCKDB_TYPES[expected], (table, name)
    assert str(settings["as_of"]) == company.truth["as_of"]


def test_every_delivered_row_is_accounted_for(company: Company) -> None:
    for table, counts in company.truth["raw"].items():
        malformed = [key for keys in counts["malformed"].values() for key in keys]
        superseded = counts["duplicates"] + counts["corrections"] + counts["retractions"]
        delivered = company.value(f"select count(*) from {table}")
        assert delivered == counts["delivered"]
        assert delivered == (counts["staged"] + superseded + len(malformed) + counts["not_visible"])
        assert company.value(f"select count(*) from good_{table}") == counts["staged"], table
        faulty = f"from read_{table} where is_faulty and loaded_at <= {AS_OF}"
        assert company.value(f"select count(*) {faulty}") == len(malformed), table
        later = f"select count(*) from read_{table} where loaded_at > {AS_OF}"
        assert company.value(later) == counts["not_visible"], table
        key = contract()[table]["config"]["meta"]["key"]
        named = key[1] if table == "experiment_assignments" else key[0]
        marked = company.rows(f"select {named} {faulty}")
        assert sorted(str(row[0]) for row in marked) == sorted(map(str, malformed)), table
        bad_cells = [name for names in counts["bad_cells"].values() for name in names]
        marked = company.rows(f"select {named} from good_{table} where has_bad_cell")
        assert sorted(row[0] for row in marked) == sorted(bad_cells), table


def test_late_duplicate_and_corrected_rows_are_there(company: Company) -> None:
    for table in ("prediction_logs", "usage_events", "business_outcomes"):
        declared = contract()[table]["config"]["meta"]
        key, event_at = declared["key"][0], declared["event_at"]
        counts = company.truth["raw"][table]
        names = [name for name in company.columns(table) if name != "loaded_at"]
        copies = company.rows(
            f"""
            select count(distinct ({", ".join(names)})) as versions, count(distinct {event_at}) > 1
            from read_{table} where not is_faulty group by {key} having count(*) > 1
            """
        )
        assert sum(versions == 1 for versions, _ in copies) == counts["duplicates"] > 0
        assert (
            sum(versions > 1 for versions, _ in copies)
            == counts["corrections"] + counts["retractions"]
        )
        assert sum(moved for _, moved in copies) == counts["corrections_that_move"]
    late = company.value(
        "select count(*) from good_prediction_logs where loaded_at > predicted_at + to_hours(12)"
    )
    assert late > 50
    assert company.truth["raw"]["business_outcomes"]["retractions"] > 0
    assert company.value("select count(*) from business_outcomes where currency = 'CHF'") > 0


READING = f"""
create table links as
select good_prediction_logs.prediction_id, good_business_outcomes.*
    exclude (prediction_id, entity_id, user_id)
from good_business_outcomes
join good_prediction_logs using (prediction_id)
union all
select scored.prediction_id, happened.* exclude (prediction_id, entity_id, user_id)
from good_business_outcomes as happened
join good_prediction_logs as scored
    on happened.prediction_id is null
    and case when happened.entity_id is null then happened.user_id = scored.user_id
        else happened.entity_id = scored.entity_id end
join registry using (model_id)
where happened.occurred_at >= scored.predicted_at
    and happened.occurred_at < scored.predicted_at + to_days(registry.horizon_days);

create table decisions as
with scored as (
    select *, coalesce(predicted_label = 'true', score >= coalesce(
        logs.decision_threshold, registry.decision_threshold)) as is_positive
    from good_prediction_logs as logs
    join registry using (model_id)
    where coalesce(environment, 'prod') = 'prod'
),

linked as (
    select scored.model_id, scored.predicted_at, links.*, outcome_name = label_outcome as is_label,
        outcome_name = amount_outcome and coalesce(status, 'final') = 'final'
            and row_number() over (
                partition by outcome_id order by predicted_at desc
            ) = 1 as is_credited
    from scored
    join links using (prediction_id)
),

summed as (
    select
        linked.prediction_id,
        bool_or(is_label and coalesce(status, 'final') = 'final') as has_final,
        bool_or(is_label and status = 'provisional') as has_provisional,
        any_value(outcome_value) filter (is_label and outcome_label is null
            and coalesce(status, 'final') = 'final') as actual,
        bool_or(is_label and coalesce(status, 'final') = 'final'
            and coalesce(outcome_label, 'true') = 'true') as is_true,
        sum(outcome_value * rates.rate) filter (is_credited) as amount
    from linked
    left join rates on rates.currency = linked.currency
        and linked.occurred_at >= rates.valid_from
        and linked.occurred_at < coalesce(rates.valid_to, date '9999-01-01')
    group by all
),

judged as (
    select *,
        case
            when predicted_at + to_days(horizon_days + label_delay_days) > {AS_OF} then 'pending'
            when has_final or negative_on_absence and not coalesce(has_provisional, false)
                then 'matured'
            when has_provisional then 'pending'
            else 'unlabelled'
        end as label_state,
        coalesce(is_true, false) as is_actual
    from scored
    left join summed using (prediction_id)
)

select judged.*,
    case when label_state = 'matured' and task = 'regression'
        then predicted_value - actual end as error,
    case when label_state = 'matured' and task <> 'regression'
        then if(is_positive = is_actual, 't', 'f') || if(is_positive, 'p', 'n') end as cell,
    fixed_amount + amount_coefficient * coalesce(amount, 0) as value
from judged
left join unit_values
    on unit_values.model_id = judged.model_id
    and unit_values.cell = case when label_state = 'matured'
        then if(is_positive = is_actual, 't', 'f') || if(is_positive, 'p', 'n') end;
"""


@pytest.fixture(scope="module")
def reading(company: Company) -> Company:
    """The company with its decisions judged from the raw files and seeds alone."""
    for relation, seed in (
        ("registry", "model_registry"),
        ("rates", "exchange_rates"),
        ("unit_values", "unit_values"),
    ):
        company.connection.execute(
            f"create table {relation} as from read_csv('{PROJECT}/seeds/{seed}.csv')"
        )
    company.connection.execute(READING)
    return company


def test_decisions_read_from_the_files_equal_the_truth(reading: Company) -> None:
    cells = ("tp", "fp", "fn", "tn")
    states = ("matured", "pending", "unlabelled")
    read = {
        row[:3]: row[3:]
        for row in reading.rows(
            f"""
            select model_id, model_version, strftime(predicted_at, '%Y-%m'), count(*),
                {", ".join(f"count(*) filter (label_state = '{state}')" for state in states)},
                {", ".join(f"count(*) filter (cell = '{cell}')" for cell in cells)},
                coalesce(sum(value) filter (cell is not null), 0), coalesce(sum(amount), 0),
                coalesce(sum(error), 0), coalesce(sum(abs(error)), 0),
                coalesce(sum(actual) filter (error is not null), 0)
            from decisions group by all
            """
        )
    }
    planted = {
        (model_id, part["model_version"], part["month"]): part
        for model_id, model in reading.truth["models"].items()
        for part in model["by_version_and_month"]
    }
    assert read.keys() == planted.keys()
    sums = ("value_usd", "credited_usd", "error_sum", "absolute_error_sum", "actual_sum")
    for key, row in read.items():
        part = planted[key]
        assert list(row[:-5]) == [part[name] for name in ("decisions", *states, *cells)], key
        assert row[-5:] == pytest.approx([part[name] for name in sums], rel=1e-9, abs=1e-3), key


def test_use_read_from_the_files_equals_the_truth(reading: Company) -> None:
    names = ("accepted", "rejected", "overridden", "edited", "dismissed")
    for row in reading.rows(
        f"""
        with used as (
            select model_id, prediction_id, list(event_name) as done
            from good_usage_events group by all
        )
        select model_id, count(*),
            {", ".join(f"count(*) filter (list_contains(done, '{name}'))" for name in names)},
            count(*) filter (not list_has_any(done, {list(names)}))
        from used join decisions using (model_id, prediction_id) group by all
        """
    ):
        model = reading.truth["models"][row[0]]
        assert list(row[1:]) == [model[name] for name in ("shown", *names, "ignored")]
    for model_id, days in reading.rows(
        """
        select model_id, count(distinct (user_id, occurred_at::date))
        from good_usage_events where not coalesce(is_passive, false) group by all
        """
    ):
        assert days == reading.truth["models"][model_id]["adoption"]["active_user_days"]


def test_booked_outcomes_equal_the_truth(reading: Company) -> None:
    booked = reading.rows(
        """
        select outcome_name, count(*), sum(outcome_value * rate),
            count(*) filter (happened.currency is not null and rate is null)
        from good_business_outcomes as happened
        left join rates on rates.currency = happened.currency
            and occurred_at >= valid_from
            and occurred_at < coalesce(valid_to, date '9999-01-01')
        where coalesce(status, 'final') <> 'reversed' group by all
        """
    )
    assert {row[0] for row in booked} == set(reading.truth["outcomes"])
    for name, count, amount, without_rate in booked:
        planted = reading.truth["outcomes"][name]
        assert (count, without_rate) == (planted["outcomes"], planted["without_rate"])
        assert (amount or 0) == pytest.approx(planted["amount_usd"] or 0, rel=1e-9)
    for model_id, cost in reading.rows(
        """
        select model_id, sum(amount * rate) from good_serving_costs as costs
        left join rates on rates.currency = costs.currency and period_start >= valid_from
            and period_start < coalesce(valid_to, date '9999-01-01')
        group by all
        """
    ):
        assert cost == pytest.approx(reading.truth["costs_usd"][model_id], rel=1e-9)


def test_early_labels_are_mostly_positive(reading: Company) -> None:
    early, late = (
        reading.value(
            f"""
            select avg((outcome_label = 'true')::int) from good_business_outcomes
            join (select entity_id, min(predicted_at) as scored_at from good_prediction_logs
                where model_id = 'lead_scoring' group by all) using (entity_id)
            where outcome_name = 'converted' and occurred_at {comparison} scored_at + to_days(20)
            """
        )
        for comparison in ("<", ">=")
    )
    assert early > 0.95
    assert late < 0.05


def test_drift_shows_from_its_day(company: Company) -> None:
    drift = company.truth["plants"]["drift"]
    before, after = (
        company.connection.execute(
            f"""
            select median(company_size), avg(days_since_contact), avg((industry = 'retail')::int)
            from good_prediction_logs
            where model_id = 'lead_scoring' and predicted_at {period}
            """
        ).fetchall()[0]
        for period in (
            f"< '{drift['starts_at']}'",
            f">= '{drift['starts_at']}'::timestamp + to_days(10)",
        )
    )
    assert before[0] > 2 * after[0]
    assert after[1] > 1.5 * before[1]
    assert after[2] > 2 * before[2]


def test_incident_is_slow_and_fails(company: Company) -> None:
    incident = company.truth["plants"]["latency_incident"]
    inside = f"predicted_at >= '{incident['starts_at']}' and predicted_at < '{incident['ends_at']}'"
    slow, failing, calm = company.rows(
        f"""
        select median(latency_ms) filter ({inside}),
            avg((status_code = 503 and error_type is not null)::int) filter ({inside}),
            avg((status_code = 503)::int) filter (not ({inside}))
        from good_prediction_logs where model_id = 'fraud_detection'
        """
    )[0]
    assert slow > 1_000
    assert failing > 0.15
    assert calm < 0.005
    failed = company.value(
        """
        select count(*) from good_prediction_logs
        where status_code <> 200 and environment is null
        """
    )
    assert failed == company.truth["models"]["fraud_detection"]["failed_calls"]


def test_bad_release_halves_acceptance_until_rolled_back(reading: Company) -> None:
    window = reading.truth["plants"]["bad_release"]
    first, last = reading.rows(
        """
        select min(predicted_at), max(predicted_at) from good_prediction_logs
        where model_version = '8.0'
        """
    )[0]
    assert window["starts_at"] <= str(first) < str(last) < window["ends_at"]
    released = reading.rows(
        "select event_type, event_at::varchar from good_model_releases "
        "where model_version = '8.0' order by event_at"
    )
    assert released[2:] == [
        ("deployed", window["starts_at"]),
        ("rolled_back", window["ends_at"]),
    ]
    rates = dict(
        reading.rows(
            """
            select model_version, avg(is_actual::int) from decisions
            where model_id = 'next_best_offer' and cell is not null group by all
            """
        )
    )
    assert rates["8.0"] < 0.7 * rates["7.2"]


def test_small_group_has_lower_recall(reading: Company) -> None:
    planted = reading.truth["groups"]["counts"]
    for name, comparison in (("treated_worse", "="), ("rest", "<>")):
        found, missed = reading.rows(
            f"""
            select count(*) filter (cell = 'tp'), count(*) filter (cell = 'fn') from decisions
            where model_id = 'lead_scoring' and age_band {comparison} '65+'
            """
        )[0]
        assert (found, missed) == (planted[name]["tp"], planted[name]["fn"])
    worse, rest = planted["treated_worse"], planted["rest"]
    assert worse["decisions"] < 0.03 * rest["decisions"]
    assert worse["tp"] * (rest["tp"] + rest["fn"]) < 0.7 * rest["tp"] * (worse["tp"] + worse["fn"])


def test_experiments_hold_their_planted_lift(tmp_path: Path) -> None:
    truth: Any = simulate(out=tmp_path, predictions=600_000, days=120, seed=2)
    for experiment in truth["experiments"].values():
        rates = {
            variant: counts["positive_decisions"] / counts["matured_decisions"]
            for variant, counts in experiment["variants"].items()
        }
        lift = rates["treatment"] / rates["control"] - 1
        assert lift == pytest.approx(experiment["planted_relative_lift"], abs=0.08)
        units = [counts["units"] for counts in experiment["variants"].values()]
        assert min(units) > 0.95 * max(units)
        assert 0 < experiment["units_in_both_variants"] < 0.01 * sum(units)


def test_the_trial_of_the_bad_release_harms_beyond_doubt(tmp_path: Path) -> None:
    truth: Any = simulate(out=tmp_path, predictions=60_000, days=120, seed=7)
    arms = truth["experiments"]["offer_taste_features"]["variants"]
    counts = {name: arm["matured_decisions"] for name, arm in arms.items()}
    rates = {name: arm["positive_decisions"] / counts[name] for name, arm in arms.items()}
    variance = sum(rate * (1 - rate) / counts[name] for name, rate in rates.items())
    # far enough for the demo to roll it back
    assert rates["treatment"] - rates["control"] < -4 * variance**0.5


def test_users_in_trials_were_seen_before(company: Company) -> None:
    shares = company.rows(
        """
        select experiment_id, avg(seen_before::int)
        from (
            select experiment_id, unit_id,
                bool_or(predicted_at < first_exposed_at - to_minutes(1)) as seen_before
            from good_experiment_assignments
            join good_prediction_logs on unit_id = user_id
            group by all
        )
        group by experiment_id
        """
    )
    assert len(shares) == 3
    assert all(share > 0.25 for _, share in shares), shares


def test_models_and_experiments_are_those_of_the_seeds(company: Company) -> None:
    declared = {row["experiment_id"]: row for row in seed_rows("experiments")}
    begun = {name for name, row in declared.items() if row["start_date"] < "2026-07-01"}
    assert begun == company.truth["experiments"].keys()
    assert len(declared) > len(begun)
    for experiment_id, planted in company.truth["experiments"].items():
        row = declared[experiment_id]
        assert (row["model_id"], row["unit_type"]) == (planted["model_id"], planted["unit_type"])
        assert row["start_date"] == planted["starts_at"][:10]
        assert row["planned_end_date"] == planted["ends_at"][:10]
        assert int(row["window_days"]) == planted["window_days"]
        assert row["primary_metric"] == planted["metric"]
    assert {row["model_id"] for row in seed_rows("model_registry")} == set(company.truth["models"])


@pytest.mark.parametrize(("predictions", "days"), [(300, 14), (300, 400), (2_000, 400)])
def test_small_and_long_histories_work(tmp_path: Path, predictions: int, days: int) -> None:
    simulate(out=tmp_path, predictions=predictions, days=days, seed=1)
    small = Company(tmp_path)
    for table, counts in small.truth["raw"].items():
        assert small.value(f"select count(*) from good_{table}") == counts["staged"], table
    decided = small.value(
        "select count(distinct prediction_id) from prediction_logs "
        "where prediction_id not like 'bad-%'"
    )
    assert decided >= 0.99 * predictions
    first = small.value("select min(predicted_at)::varchar from good_prediction_logs")
    assert first >= small.truth["first_day"]


def test_logs_rise_in_time(company: Company) -> None:
    for path in sorted((company.folder / "raw/prediction_logs").glob("*_*.parquet")):
        falling = company.value(
            f"""
            select count(*) from (
                select predicted_at < lag(predicted_at) over (order by file_row_number) as falls
                from read_parquet('{path}', file_row_number = true)
            ) where falls
            """
        )
        # Only rows that are corrected later stand at a wrong time.
        assert falling <= company.truth["raw"]["prediction_logs"]["corrections_that_move"]


def test_simulating_again_replaces_only_its_own_files(tmp_path: Path) -> None:
    simulate(out=tmp_path, predictions=300, days=14, seed=1)
    (tmp_path / "warehouse.duckdb").write_text("kept")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/model_registry.csv").write_text("kept")
    simulate(out=tmp_path, predictions=400, days=14, seed=1)
    assert json.loads((tmp_path / "truth.json").read_text())["arguments"]["predictions"] == 400
    assert (tmp_path / "warehouse.duckdb").read_text() == "kept"
    assert (tmp_path / "seeds/model_registry.csv").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {
        "raw", "vars.yml", "truth.json", "warehouse.duckdb", "seeds"
    }  # fmt: skip


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "raw/prediction_logs/mine.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("prediction_id\n1\n")
    with pytest.raises(SimulationError, match=r"mine\.csv: choose another folder"):
        simulate(out=tmp_path, predictions=300, days=14, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]

    foreign.unlink()
    (tmp_path / "vars.yml").write_text("# as_of: now\n")
    simulate(out=tmp_path, predictions=300, days=14, seed=1)
    foreign.write_text("prediction_id\n1\n")
    with pytest.raises(SimulationError, match="was not simulated"):
        simulate(out=tmp_path, predictions=300, days=14, seed=1)


def test_settings_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("reporting_currency: EUR\n")
    with pytest.raises(SimulationError, match="settings that were not simulated"):
        simulate(out=tmp_path, predictions=300, days=14, seed=1)
    assert (tmp_path / "vars.yml").read_text() == "reporting_currency: EUR\n"


@pytest.mark.parametrize(
    "wrong", [{"predictions": 10}, {"predictions": 10**8}, {"days": 3}, {"days": 500}]
)
def test_arguments_out_of_range_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SimulationError, match=f"{next(iter(wrong))} is .*: choose a number from"):
        simulate(out=tmp_path, **{"predictions": 300, "days": 14, "seed": 1, **wrong})
