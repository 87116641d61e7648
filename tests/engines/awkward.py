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
        "model_id,model_name,product,task,team,charter,label_outcome,positive_label,label_is,amount_outcome,decision_threshold,"
        "horizon_days,label_delay_days,negative_on_absence,reference_from,reference_to,score_is_probability,"
        "outcome_depends_on_action,latency_slo_ms,baseline_policy,baseline_column,owner,rationale",
        "bin,It's \"binary\",CRM,binary,team,50 % more\\less,converted,true,gain,revenue,0.5,14,2,true,2024-02-01,2024-02-29,true,false,50,column,channel,ann,o'clock",
        "multi,Mehrklassig – größer,CRM,multiclass,team,c,class,,,,,7,0,false,,,,,,,,ann,日本語 🙂",
        "reg,Regression,Supply,regression,team,c,demand,,neutral,,,1,0,false,,,,,,,,ann,w",
        "rank,Ranking,Shop,ranking,team,c,clicked,,gain,revenue,0,3,1,true,,,false,true,,all,,ann,w",
        "idle,Never asked,Shop,binary,team,c,clicked,,harm,,0.5,3,1,true,,,,,,,,ann,w",
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
        "metric,model_id,segment_name,segment_value,target,floor,baseline,due,weight,parent,goal_id,parent_goal_id,level,valid_from,valid_to,owner,rationale",
        "precision,*,*,*,0.5,0.4,,,0.3333333333333333,,,,,2024-01-01,,ann,w",
    ),
    "model_metrics": (
        "model_id,metric,role,direction,owner,rationale",
        "bin,accuracy,not_read,,ann,o'clock",
        "rank,conversion_rate,watched,none,ann,w",
    ),
    "outcome_kinds": (
        "outcome_name,kind,unit,owner,rationale",
        "clicked,activation,,ann,w",
    ),
    "survey_themes": (
        "theme,word,answered_by_release_id,owner,rationale",
        "speed,Slow,,ann,w",
        "speed,load time,r1,bob,w",
        "size,größe,,ann,w",
    ),
    "release_criteria": (
        "stage,model_id,metric,bound,minimum_units,period,owner,rationale",
        "deployed,*,acceptance_rate,0.3333333333333333,,,ann,w",
        "deployed,bin,acceptance_rate,0.4,3,28d,ann,o'clock",
        "deployed,reg,prediction_bias,1e-9,2,all,ann,w",
        "validation,reg,mean_absolute_error,1e6,,all,ann,w",
    ),
    "release_expectations": (
        "release_id,metric,change_low,change_high,owner,rationale",
        "r1,precision,-0.1,0.1,größer,w",
        "nowhere,recall,0,0,ann,w",
    ),
    "cost_budgets": (
        "model_id,cost_type,monthly_amount,currency,valid_from,valid_to,owner,rationale",
        "bin,all,12.5,JPY,2024-01-01,2024-07-15,ann,w",
    ),
    "kpi_links": (
        "model_id,from_metric,to_metric,expected_low,expected_high,confidence,evidence,owner,rationale",
    ),
    "alert_rules": (
        "rule_id,tier,metric,model_id,condition,period,consecutive_days,cooldown_days,corrective_action,playbook,sla_hours,owner,rationale",
        "taken,technical,acceptance_rate,*,value < 0.9 * previous_value,day,1,3,do,,24,ann,w",
        "worth,business,value_per_decision,bin,abs(change) > 0.01,28d,2,0,do,größe,48,ann,w",
        "use,experience,adoption_rate,*,value - reference_value <= (0.1 + 1 / 3) × 2,7d,1,5,do,,240,ann,w",
        "money,business,credited_revenue,*,-value / 2 < 0,7d,1,2,do,it's,24,ann,w",
        "floor,technical,precision,*,floor >= value,28d,1,2,do,,24,ann,w",
        "drifts,technical,drift,*,value >= 0,,1,3,do,,24,ann,w",
        "late,technical,freshness,*,value > 0.5,,1,0,do,,24,ann,w",
        "chain,technical,causal_chain,*,value >= previous_value,,1,1,do,,24,ann,w",
        "groups,technical,fairness,bin,value >= 0,,1,1,do,,24,ann,w",
        "checks,technical,input_health,*,value > 0,,1,1,do,,24,ann,w",
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
        "large,value_of_decisions,0.1,relative,ann,w",
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
MAY = "2024-05-08 10:00:00"
# cells that count as missing, or that are named
CELLS: Mapping[str, Mapping[str, str]] = {
    "cell-1": {"latency_ms": "-1", "status_code": "5xx"},
    "cell-2": {"latency_ms": "fast", "rank_position": "-1"},
    "cell-3": {"latency_ms": "Infinity", "status_code": "200.0"},
    "cell-4": {"latency_ms": "-NaN", "status_code": "<NA>", "score": "NaN"},
    "cell-5": {"latency_ms": "\\N", "user_id": "\\N", "score": "null"},
    "cell-6": {"user_id": "NaN", "region": "NA", "score": "#N/A"},
    "cell-7": {"user_id": " None ", "region": "Größe", "score": "n/a"},
    "cell-8": {"user_id": "17.0", "region": "größe"},
    "cell-9": {"user_id": "17", "device": "it's; \\N"},
    "cell-10": {"latency_ms": "x" * 70 + "'\\n"},
    "cell-11": {"latency_ms": "1_000", "status_code": "+-200", "score": " 0.5 "},
    "cell-12": {"latency_ms": " 12 ", "rank_position": "\t2 ", "predicted_label": " 1.0 "},
    "NaN": {},
    "label-1": {"predicted_label": " True "},
    "label-2": {"predicted_label": "NO"},
    "label-3": {"predicted_label": "-1.00", "model_id": "multi"},
    "label-4": {"predicted_label": "1.10", "model_id": "multi"},
    "label-5": {"predicted_label": "None", "model_id": "multi"},
}
# keys that stand for two things: over time, and within one delivery
REUSED: Sequence[Mapping[str, str]] = (
    {"prediction_id": "twice", "loaded_at": "2024-05-09 00:00:00"},
    {"prediction_id": "twice", "loaded_at": "2024-05-10 00:00:00", "model_id": "multi"},
    {"prediction_id": "at-once", "user_id": "ann"},
    {"prediction_id": "at-once", "entity_id": "e2", "latency_ms": "soon"},
)

FEEDBACK = (
    *("response_id", "survey_type", "asked_at", "responded_at", "score", "scale_min", "scale_max"),
    *("comment", "model_id", "prediction_id", "user_id", "loaded_at"),
)
ANSWERS = '''
f1,csat,2024-05-06 12:00:00,2024-05-06,4,1,5,"größe, ""ok""",bin,slow,17,2024-05-08
f2,csat,2024-05-06 12:00:00,soon,4.0,1,5,N/A,bin,quick,17.0,2024-05-08
f3,csat,2024-05-06,2200-01-01 00:00:00,,1,5,,bin,QUICK,NULL,2024-05-08
f4,csat,2024-05-06 00:00,2024-05-07T10:00:00.1234567+02:00,9,1,5,,bin,n/a,ann,2024-05-08
f5,nps,2024-05-06 12:00:00,2024-05-05,10,,,,bin,blank,ann,2024-05-08
f6,nps,2024-05-06 12:00:00,2024-02-30,10,,,,bin,nobody,ANN,2024-05-08
f7,nps,2024-05-06 12:00:00,,ten,,,,bin,,ann,2024-05-08
f8,nps,2024-05-06 12:00:00,,7,,,,bin,,ann,2024-05-08
f8,ces,2024-05-06 12:00:00,,6,,,,bin,,bob,2024-05-09
f9,improvement,2024-05-06 12:00:00,2024-05-07,,,,"Too SLOW; die größe (and ""load/time"")",bin,,ann,2024-05-08
g1,improvement,2024-05-06 12:00:00,2024-05-07,,,,slowly?,bin,,bob,2024-05-08
'''.strip()

PARQUET: Mapping[str, str] = {
    "usage_events": """
        select 'u' || n as event_id, name as event_name, moment as occurred_at, 'ann' as user_id, 'bin' as model_id,
            prediction as prediction_id, passive as is_passive, duration as duration_ms, session as session_id, cast(null as varchar) as surface,
            timestamptz '2024-05-10 02:00:00+02' as loaded_at
        from (values
            (1, 'exposed', timestamp_ns '2024-02-29 23:59:59.9999997', 'leap', null, 1e300, 17e0),
            (2, 'accepted', timestamp '2024-03-01 00:00:00', 'leap', false, 1e-300, 170000000e0),
            (3, 'overridden', timestamp '2024-03-01 00:00:00', 'leap', true, null, 17.5e0),
            (4, 'task_completed', timestamp '2024-12-31 12:00:00', null, false, 0.1, 'nan'),
            (5, 'shown', timestamp '2024-12-31 12:00:00', null, false, -0.5, null),
            (6, 'viewed', timestamp '2024-12-31 12:00:00', null, false, -0.5, 'inf'),
            (7, 'viewed', timestamp '2024-12-31 12:00:00', null, false, -170000000, null),
            (8, 'viewed', timestamp '2024-12-31 12:00:00', null, false, '-inf', null)
        ) as t (n, name, moment, prediction, passive, duration, session)""",
    "business_outcomes": """
        select 'o' || n as outcome_id, name as outcome_name, prediction as prediction_id, entity as entity_id, label as
            outcome_label, value as outcome_value, currency, moment as occurred_at,
            -- without a time of day where it is the day that is known
            if(n in (1, 2, 12), strftime(moment, '%Y-%m-%d'), cast(moment as varchar)) as observed_at, status,
            timestamp '2024-12-31 00:00:00' as loaded_at
        from (values
            (1, 'converted', null, 'e1', 'True', null, null, timestamp '2024-03-01 00:00:00', null),
            (2, 'converted', null, 'e2', 'false', null, null, timestamp '2024-03-14 23:59:59.999999', null),
            (3, 'revenue', null, 'e1', null, 120.5, 'EUR', timestamp '2024-03-05 10:00:00', null),
            (4, 'revenue', null, 'e1', null, 1e12, 'JPY', timestamp '2024-03-05 10:00:00', 'final'),
            (5, 'revenue', null, 'e1', null, 0.005, null, timestamp '2024-03-05 10:00:00', 'provisional'),
            (6, 'revenue', null, 'e9', null, -17.25, 'EUR', timestamp '2024-06-01 00:00:00', 'reversed'),
            (7, 'revenue', null, 'e9', null, 3.1, 'CHF', timestamp '2024-06-01 00:00:00', null),
            (8, 'class', 'a', 'none', 'größer', null, null, timestamp '2024-07-02 00:00:00', null),
            (9, 'class', 'b', null, 'größer', null, null, timestamp '2024-07-02 00:00:00', null),
            (10, 'demand', 'c', null, null, 123456789012345678, null, timestamp '2024-07-02 00:00:00', null),
            (11, 'demand', 'd', null, null, 1e-13, null, timestamp '2024-07-02 00:00:00', null),
            (12, 'clicked', null, 'k1', null, null, null, timestamp '2024-07-05 23:59:59', null),
            (13, 'converted', 'nobody', null, 'true', null, null, timestamp '2024-07-05 23:59:59', null),
            (14, 'class', 'label-3', null, '-1', null, null, timestamp '2024-07-05 23:59:59', null),
            (15, 'class', 'label-4', null, '1.10', null, null, timestamp '2024-07-05 23:59:59', null),
            (16, 'converted', 'cell-8', null, 'YES', null, null, timestamp '2024-07-05 23:59:59', null)
        ) as t (n, name, prediction, entity, label, value, currency, moment, status)
        union all
        select 'large' || n, 'revenue', null, 'large' || n, null, 1e8 + (n * 37 % 41) / 7, null,
            timestamp '2024-08-03 00:00:00', '2024-08-03', null, timestamp '2024-12-31 00:00:00'
        from range(60) as entities (n)""",
    # optional columns that are there and never filled
    "eligible_users": """
        select 'ann' as user_id, 'bin' as model_id, date '2024-02-28' as eligible_from,
            cast(null as timestamp) as eligible_to, cast(null as varchar) as team, cast(null as integer) as role,
            timestamp '2024-01-01' as loaded_at
        union all
        -- an end that never comes
        select 'bob', 'bin', date '2024-02-28', timestamp '9999-12-31 23:59:59', null, null, timestamp '2024-01-01'""",
    "serving_costs": """
        select 'c' || n as cost_id, 'bin' as model_id, version as model_version, starts as period_start,
            ends as period_end, type as cost_type, amount, currency, timestamp '2025-01-01' as loaded_at
        from (values
            (1, null, timestamp '2024-02-28 12:00:00', timestamp '2024-03-02 00:00:00', 'compute', 1e9, 'EUR'),
            (2, 'v1', timestamp '2024-12-30 00:00:00', timestamp '2025-01-06 00:00:00', 'tokens', 0.07, 'USD'),
            (3, null, timestamp '2024-05-05 00:00:00', timestamp '2024-05-05 00:00:00.5', 'storage', 1e-7, null)
        ) as t (n, version, starts, ends, type, amount, currency)""",
    "kpi_annotations": """
        select 'k' || n as annotation_id, timestamp '2024-02-29' as effective_from, until as effective_to, 'all' as scope,
            'holiday' as kind, title, timestamp '2024-03-01' as loaded_at
        from (values (1, 'Schalttag; größe', null), (2, 'it''s \\ "b"', timestamp '2024-03-02'), (3, 'größer', timestamp '9999-12-31')) as t (n, title, until)""",
}
ASSIGNMENTS = "experiment_id,unit_id,variant,assigned_at,first_exposed_at,loaded_at"
# a header and no row
EMPTY: Mapping[str, str] = {
    "model_releases": "release_id,model_id,model_version,event_type,event_at,loaded_at",
}


def make(folder: Path) -> None:
    """Writes the workspace."""
    (folder / "seeds").mkdir(parents=True)
    (folder / "vars.yml").write_text(SETTINGS, encoding="utf-8")
    for seed, lines in SEEDS.items():
        (folder / f"seeds/{seed}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    _write_csv(folder / "raw/prediction_logs/rows.csv", PREDICTIONS, _predictions())
    _write_csv(
        folder / "raw/experiment_assignments/rows.csv", ASSIGNMENTS.split(","), _assignments()
    )
    _write_csv(folder / "raw/feedback/rows.csv", FEEDBACK, csv.reader(ANSWERS.splitlines()))
    for table, names in EMPTY.items():
        _write_csv(folder / f"raw/{table}/rows.csv", names.split(","), ())
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for table, query in PARQUET.items():
            path = folder / f"raw/{table}/rows.parquet"
            path.parent.mkdir(parents=True)
            connection.execute(f"copy ({query}) to '{path}' (format parquet)")


def _assignments() -> Iterable[list[str]]:
    """Exposed at a moment, on a day without a time, again in a copy, or in the copy alone."""
    at, day, later = "2024-08-01 12:00:00", "2024-08-01", "2024-08-02 12:00:00"
    for n in LARGE:
        unit = ["large", f"large{n}", "stray" if n == 7 else "ab"[n % 2]]
        yield [*unit, at, "" if n % 15 == 0 else day if n % 3 == 1 else at, at]
        if n % 5 == 0:
            yield [*unit, later, later, later]


def _predictions() -> Iterable[list[str]]:
    nothing: Mapping[str, str] = {}
    large = [(f"l{n}", "bin", "2024-08-01 10:00:00", f"large{n}", "0.9", nothing) for n in LARGE]
    cells = [(key, "bin", MAY, "e1", "0.9", also) for key, also in CELLS.items()]
    reused = [("", "bin", MAY, "e1", "0.9", also) for also in REUSED]
    for key, model, at, entity, score, also in (*ROWS, *cells, *reused, *large):
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
