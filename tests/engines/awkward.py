"""A workspace of what engines see differently: texts, numbers, days and nothing at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb

SETTINGS = """as_of: 2025-01-20 00:00:00
numeric_features: [lead_age]
mapping:
  prediction_logs:
    predicted_at: decided_at
minimum_cell: 2
"""

SEEDS: Mapping[str, Sequence[str]] = {
    "model_registry": (
        "model_id,model_name,product,task,team,charter,label_outcome,positive_label,amount_outcome,decision_threshold,"
        "horizon_days,label_delay_days,negative_on_absence,reference_from,reference_to,owner,rationale",
        "bin,It's \"binary\",CRM,binary,team,50 % more\\less,converted,true,revenue,0.5,14,2,true,2024-02-01,2024-02-29,ann,o'clock",
        "multi,Mehrklassig – größer,CRM,multiclass,team,c,class,,,,7,0,false,,,ann,日本語 🙂",
        "reg,Regression,Supply,regression,team,c,demand,,,,1,0,false,,,ann,w",
        "rank,Ranking,Shop,ranking,team,c,clicked,,revenue,0,3,1,true,,,ann,w",
        "idle,Never asked,Shop,binary,team,c,clicked,,,0.5,3,1,true,,,ann,w",
    ),
    "unit_values": (
        "model_id,cell,fixed_amount,amount_coefficient,currency,valid_from,valid_to,owner,rationale",
        "bin,tp,10.123456789012345,0.1,USD,2024-01-01,,ann,w",
        "bin,fp,-1e-9,0,EUR,2024-01-01,2024-06-01,ann,w",
        "bin,fp,-3,0,EUR,2024-06-01,,ann,w",
        "bin,fn,0,-1,JPY,2024-01-01,,ann,w",
    ),
    "exchange_rates": (
        "currency,rate,valid_from,valid_to,owner,rationale",
        "USD,1,2020-01-01,,ann,w",
        "EUR,1.1,2020-01-01,2024-06-01,ann,w",
        "EUR,0.9,2024-06-01,,ann,w",
        "JPY,0.0066,2020-01-01,,ann,w",
    ),
    "metric_targets": (
        "metric,model_id,segment_name,segment_value,target,floor,baseline,due,weight,parent,valid_from,valid_to,owner,rationale",
        "precision,*,*,*,0.5,0.4,,,0.3333333333333333,,2024-01-01,,ann,w",
    ),
    "kpi_links": (
        "model_id,from_metric,to_metric,expected_low,expected_high,confidence,evidence,owner,rationale",
    ),
    "alert_rules": (
        "rule_id,tier,metric,model_id,condition,consecutive_days,cooldown_days,corrective_action,playbook,sla_hours,owner,rationale",
    ),
    "experiments": (
        "experiment_id,model_id,hypothesis,unit_type,control_variant,expected_split,start_date,planned_end_date,extended_end_date,"
        "window_days,covariate_days,method,comparison,look_dates,primary_metric,secondary_metrics,uptake_metric,minimum_effect,"
        "minimum_effect_kind,alpha,power,expected_units,decided_on,value_per_unit,currency,owner,rationale",
        "large,bin,größe,entity,a,a:0.5;b:0.5,2024-08-01,2024-08-31,,10,0,fixed,,,credited_revenue,acceptance_rate,,0.1,relative,"
        "0.05,0.8,,,1,EUR,ann,w",
    ),
    "experiment_guardrails": (
        "experiment_id,metric,margin,margin_kind,owner,rationale",
        "large,net_value,0.1,relative,ann,w",
    ),
}
# an experiment whose amounts are large and nearly equal
LARGE = range(60)

PREDICTIONS = (
    *("prediction_id", "model_id", "model_version", "Decided_At", "entity_id", "user_id", "score"),
    *("predicted_label", "predicted_value", "rank_position", "decision_threshold", "environment"),
    *("latency_ms", "status_code", "error_type", "sampling_fraction", "channel", "device"),
    *("region", "age_band", "lead_age", 'Odd Column "x"', "loaded_at"),
)
# id, model, time, entity, score, and what else is said of the row
ROWS: Sequence[tuple[str, str, str, str, str, Mapping[str, str]]] = (
    (
        "leap",
        "bin",
        "2024-02-29 23:59:59.999999",
        "e1",
        "0.9",
        {"channel": "größe", "region": "日本"},
    ),
    ("leap-2", "bin", "2024-02-29T00:00:00Z", "e2", "0.5", {"channel": "größe", "region": "日本"}),
    ("march", "bin", "2024-03-01 00:00:00", "e3", "0.49999999999999994", {"channel": "O'Neill"}),
    ("zone", "bin", "2023-12-31 23:30:00-01:00", "e4", "1", {"channel": "a\\nb", "device": "\\N"}),
    ("zone-2", "bin", "2024-01-01 05:30:00+0530", "e4", "0", {"channel": "a, b", "device": '"q"'}),
    ("week-1", "bin", "2024-12-30 00:00:00", "e5", "1e-300", {"device": "two\nlines"}),
    ("week-1b", "bin", "2025-01-05 23:59:59.999", "e5", "0.1", {"device": "🙂"}),
    ("week-2", "bin", "2025-01-06", "e5", "0.30000000000000004", {}),
    ("early", "bin", "2023-12-31 23:59:59", "e6", "0.7", {}),
    (
        "weights",
        "bin",
        "2024-05-05 10:00:00.5",
        "e7",
        "0.8",
        {"sampling_fraction": "0.3333333333333333"},
    ),
    ("weights-2", "bin", "2024-05-05 10:00:00.25", "e7", ".8", {"sampling_fraction": "1e-2"}),
    ("slow", "bin", "2024-05-06 10:00", "e8", "5e-1", {"latency_ms": "1e15", "status_code": "503"}),
    (
        "quick",
        "bin",
        "2024-05-06 1:2:3",
        "e8",
        "+0.6",
        {"latency_ms": "0.000001", "status_code": "200"},
    ),
    ("staging", "bin", "2024-05-06 10:00:00", "e8", "0.6", {"environment": "staging"}),
    (
        "blank",
        "bin",
        "2024-05-06 10:00:00",
        "e9",
        "  ",
        {"user_id": "   ", "error_type": "timeout"},
    ),
    ("later", "bin", "2024-05-07 10:00:00", "e9", "0.1", {"loaded_at": "2024-05-08 00:00:00"}),
    ("later", "bin", "2024-05-07 10:00:00", "e9", "0.9", {"loaded_at": "2024-05-09 00:00:00"}),
    ("later", "bin", "2024-05-07 10:00:00", "e9", "abc", {"loaded_at": "2024-05-10 00:00:00"}),
    ("tie", "bin", "2024-05-07 10:00:00", "e9", "0.2", {"loaded_at": "2024-05-09 00:00:00"}),
    ("tie", "bin", "2024-05-07 10:00:00", "e9", "0.8", {"loaded_at": "2024-05-09 00:00:00"}),
    ("tie", "bin", "2024-05-07 10:00:00", "e9", "", {"loaded_at": "2024-05-09 00:00:00"}),
    ("unseen", "bin", "2025-01-19 10:00:00", "e9", "0.8", {"loaded_at": "2025-01-20 00:00:01"}),
    (
        "a",
        "multi",
        "2024-07-01 00:00:00",
        "m1",
        "",
        {"predicted_label": "größer", "rank_position": "1"},
    ),
    (
        "b",
        "multi",
        "2024-07-01 00:00:00",
        "m2",
        "",
        {"predicted_label": "kleiner", "rank_position": "2.0"},
    ),
    ("c", "reg", "2024-07-02 00:00:00", "r1", "", {"predicted_value": "123456789012345680"}),
    ("d", "reg", "2024-07-02 00:00:00", "r2", "", {"predicted_value": "-1e-12"}),
    (
        "e",
        "rank",
        "2024-07-03 00:00:00",
        "k1",
        "2.5",
        {"rank_position": "1e3", "predicted_label": "x"},
    ),
    # each of these breaks the contract in one way
    ("bad-1", "bin", "2024-02-30 10:00:00", "e1", "0.9", {}),
    ("bad-2", "bin", "2023-02-29", "e1", "0.9", {}),
    ("bad-3", "bin", "not a time", "e1", "0.9", {}),
    ("bad-4", "bin", "2024-05-07 25:00:00", "e1", "0.9", {}),
    ("bad-5", "bin", "20240507", "e1", "0.9", {}),
    ("bad-6", "bin", "2024-05-07 10:00:00", "e1", "0,9", {}),
    ("bad-7", "bin", "2024-05-07 10:00:00", "e1", "1e400", {}),
    ("bad-8", "bin", "2024-05-07 10:00:00", "e1", "NaN", {}),
    ("bad-9", "bin", "2024-05-07 10:00:00", "e1", "1d", {}),
    ("bad-10", "bin", "2024-05-07 10:00:00", "e1", "1.0000000000000002", {}),
    ("bad-11", "bin", "2024-05-07 10:00:00", "e1", "0.9", {"rank_position": "1.7"}),
    (
        "bad-12",
        "bin",
        "2024-05-07 10:00:00",
        "e1",
        "0.9",
        {"rank_position": "99999999999999999999"},
    ),
    ("bad-13", "bin", "2024-05-07 10:00:00", "e1", "0.9", {"rank_position": "0"}),
    ("bad-14", "größe ✓", "2024-05-07 10:00:00", "e1", "0.9", {}),
    ("bad-15", "bin", "1899-12-31 23:59:59", "e1", "0.9", {}),
    ("bad-16", "bin", "2200-01-01", "e1", "0.9", {}),
    ("", "bin", "2024-05-07 10:00:00", "e1", "0.9", {}),
)

PARQUET: Mapping[str, str] = {
    "usage_events": """
        select 'u' || n as event_id, name as event_name, moment as occurred_at, 'ann' as user_id, 'bin' as model_id,
            prediction as prediction_id, passive as is_passive, duration as duration_ms, cast(null as varchar) as surface,
            timestamptz '2024-05-10 02:00:00+02' as loaded_at
        from (values
            (1, 'exposed', timestamp_ns '2024-02-29 23:59:59.9999997', 'leap', null, 1e300),
            (2, 'accepted', timestamp '2024-03-01 00:00:00', 'leap', false, 1e-300),
            (3, 'overridden', timestamp '2024-03-01 00:00:00', 'leap', true, null),
            (4, 'task_completed', timestamp '2024-12-31 12:00:00', null, false, 0.1),
            (5, 'shown', timestamp '2024-12-31 12:00:00', null, false, 0.1)
        ) as t (n, name, moment, prediction, passive, duration)""",
    "business_outcomes": """
        select 'o' || n as outcome_id, name as outcome_name, prediction as prediction_id, entity as entity_id, label as
            outcome_label, value as outcome_value, currency, moment as occurred_at, moment as observed_at, status,
            timestamp '2024-12-31 00:00:00' as loaded_at
        from (values
            (1, 'converted', null, 'e1', 'true', null, null, timestamp '2024-03-01 00:00:00', null),
            (2, 'converted', null, 'e2', 'false', null, null, timestamp '2024-03-14 23:59:59.999999', null),
            (3, 'revenue', null, 'e1', null, 120.5, 'EUR', timestamp '2024-03-05 10:00:00', null),
            (4, 'revenue', null, 'e1', null, 1e12, 'JPY', timestamp '2024-03-05 10:00:00', 'final'),
            (5, 'revenue', null, 'e1', null, 0.005, null, timestamp '2024-03-05 10:00:00', 'provisional'),
            (6, 'revenue', null, 'e9', null, -17.25, 'EUR', timestamp '2024-06-01 00:00:00', 'reversed'),
            (7, 'revenue', null, 'e9', null, 3.1, 'CHF', timestamp '2024-06-01 00:00:00', null),
            (8, 'class', 'a', null, 'größer', null, null, timestamp '2024-07-02 00:00:00', null),
            (9, 'class', 'b', null, 'größer', null, null, timestamp '2024-07-02 00:00:00', null),
            (10, 'demand', 'c', null, null, 123456789012345678, null, timestamp '2024-07-02 00:00:00', null),
            (11, 'demand', 'd', null, null, 1e-13, null, timestamp '2024-07-02 00:00:00', null),
            (12, 'clicked', null, 'k1', null, null, null, timestamp '2024-07-05 23:59:59', null),
            (13, 'converted', 'nobody', null, 'true', null, null, timestamp '2024-07-05 23:59:59', null)
        ) as t (n, name, prediction, entity, label, value, currency, moment, status)
        union all
        select 'large' || n, 'revenue', null, 'large' || n, null, 1e8 + (n * 37 % 41) / 7, null,
            timestamp '2024-08-03 00:00:00', timestamp '2024-08-03 00:00:00', null, timestamp '2024-12-31 00:00:00'
        from range(60) as entities (n)""",
    # optional columns that are there and never filled
    "eligible_users": """
        select 'ann' as user_id, 'bin' as model_id, date '2024-02-28' as eligible_from,
            cast(null as timestamp) as eligible_to, cast(null as varchar) as team, cast(null as integer) as role,
            timestamp '2024-01-01' as loaded_at""",
    "serving_costs": """
        select 'c' || n as cost_id, 'bin' as model_id, version as model_version, starts as period_start,
            ends as period_end, type as cost_type, amount, currency, timestamp '2025-01-01' as loaded_at
        from (values
            (1, null, timestamp '2024-02-28 12:00:00', timestamp '2024-03-02 00:00:00', 'compute', 1e9, 'EUR'),
            (2, 'v1', timestamp '2024-12-30 00:00:00', timestamp '2025-01-06 00:00:00', 'tokens', 0.07, 'USD'),
            (3, null, timestamp '2024-05-05 00:00:00', timestamp '2024-05-05 00:00:00.5', 'storage', 1e-7, null)
        ) as t (n, version, starts, ends, type, amount, currency)""",
    "model_releases": """
        select 'rel' as release_id, 'bin' as model_id, 'v1' as model_version, 'deployed' as event_type,
            timestamp '2024-02-29 12:00:00' as event_at, 'It''s "new" \\ größer' as reason, timestamp '2024-03-01' as loaded_at""",
    "kpi_annotations": """
        select 'k' || n as annotation_id, timestamp '2024-02-29' as effective_from, until as effective_to, 'all' as scope,
            'holiday' as kind, title, timestamp '2024-03-01' as loaded_at
        from (values (1, 'Schalttag; größe', null), (2, 'it''s \\ "b"', timestamp '2024-03-02')) as t (n, title, until)""",
}
# a header and no row
EMPTY: Mapping[str, str] = {
    "feedback": "response_id,survey_type,asked_at,model_id,loaded_at",
}


def make(folder: Path) -> None:
    """Writes the workspace."""
    (folder / "seeds").mkdir(parents=True)
    (folder / "vars.yml").write_text(SETTINGS, encoding="utf-8")
    for seed, lines in SEEDS.items():
        (folder / f"seeds/{seed}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    _write_csv(folder / "raw/prediction_logs/rows.csv", PREDICTIONS, _predictions())
    header = ["experiment_id", "unit_id", "variant", "assigned_at", "loaded_at"]
    at = "2024-08-01 12:00:00"
    units = ([f"large{n}", "stray" if n == 7 else "ab"[n % 2]] for n in LARGE)
    _write_csv(
        folder / "raw/experiment_assignments/rows.csv",
        header,
        (["large", *u, at, at] for u in units),
    )
    for table, names in EMPTY.items():
        _write_csv(folder / f"raw/{table}/rows.csv", names.split(","), ())
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for table, query in PARQUET.items():
            path = folder / f"raw/{table}/rows.parquet"
            path.parent.mkdir(parents=True)
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")


def _predictions() -> Iterable[list[str]]:
    nothing: Mapping[str, str] = {}
    large = [(f"l{n}", "bin", "2024-08-01 10:00:00", f"large{n}", "0.9", nothing) for n in LARGE]
    for key, model, at, entity, score, also in (*ROWS, *large):
        row = {
            "prediction_id": key,
            "model_id": model,
            "model_version": "v1",
            "Decided_At": at,
            "entity_id": entity,
            "score": score,
            "loaded_at": "2024-01-01 00:00:00",
            **also,
        }
        yield [row.get(column, "") for column in PREDICTIONS]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
