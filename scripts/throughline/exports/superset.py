"""Assets for Apache Superset: the marts as datasets, and a dashboard that computes nothing.

Every chart reads cells of a mart. Metrics of the cards are there for charts of your own: they
divide sums of cells that may be read.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, UUID, uuid5

import yaml

from throughline import scorecard, sql
from throughline.exports import Json, artefact, cards
from throughline.exports.dashboard import (
    CHARTS,
    DIGITS,
    INTRODUCTION,
    MEASURES,
    ROWS,
    Chart,
    Filter,
)
from throughline.findings import UserError, refuse
from throughline.workspace import Workspace

VERSION = "1.0.0"
"""Of Superset's format of assets."""
NAME = "Throughline"
FIXED = (1980, 1, 1, 0, 0, 0)
"""The time of all files, so that the same marts give the same bytes."""
CARDS_OF = "mart_metric_months"
"""The mart whose cells have the sums that a metric divides."""
READABLE = "segment_name = 'all' AND model_version = 'all' AND value IS NOT NULL"
"""The cells of that mart that add up: in total, of all versions, and not withheld."""
FORMATS = {"share": ".1%", "currency": ",.2f", "count": ",.0f"}
"""Of d3, by the unit of a metric; others have `DIGITS`."""
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#332288")
"""Of models, in their order; told apart also by who sees few colours."""
DAY = "%Y-%m-%d"
KINDS = {
    "line": "echarts_timeseries_line",
    "bar": "echarts_timeseries_bar",
    "table": "table",
    "pivot": "pivot_table_v2",
}


@dataclass(frozen=True, kw_only=True)
class Assets:
    """What an archive is made of: where the marts are, and what dbt wrote down of them."""

    name: str
    uri: str
    places: Mapping[str, tuple[str, str]]
    colours: Mapping[str, str]
    manifest: Json = field(repr=False)

    def uuid(self, kind: str, name: str = "") -> str:
        """The same for the same name, so that a later import replaces an earlier one."""
        return str(named(self.name, kind, name))

    def files(self) -> Iterator[tuple[str, Json]]:
        """The files of the archive, by path."""
        yield "metadata.yaml", {"version": VERSION, "type": "assets"}
        yield "databases/throughline.yaml", self.database()
        for mart in self.places:
            yield f"datasets/throughline/{mart}.yaml", self.dataset(mart)
        for chart in CHARTS:
            yield f"charts/{chart.name}.yaml", self.chart(chart)
        yield "dashboards/throughline.yaml", self.dashboard()

    def database(self) -> Json:
        """The connection; of a DuckDB file for reading alone, so that it locks nobody out."""
        is_file = self.uri.startswith("duckdb:")
        options = {"connect_args": {"read_only": True}} if is_file else {}
        return {
            "database_name": self.name,
            "sqlalchemy_uri": self.uri,
            "cache_timeout": 600,
            "expose_in_sqllab": True,
            "allow_run_async": False,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_dml": False,
            "allow_csv_upload": False,
            "extra": {
                "allows_virtual_table_explore": True,
                "engine_params": options,
                "metadata_params": {},
            },
            "uuid": self.uuid("database"),
            "version": VERSION,
        }

    def dataset(self, mart: str) -> Json:
        """A mart with its columns as the contract has them."""
        node = model(self.manifest, mart)
        schema, table = self.places[mart]
        columns = [column for column in node["columns"].values() if column["data_type"]]
        times = [column["name"] for column in columns if is_time(column["data_type"])]
        return {
            "table_name": table,
            "main_dttm_col": times[0] if times else None,
            "description": node["description"].strip(),
            "schema": schema,
            "sql": None,
            "columns": [
                {
                    "column_name": column["name"],
                    "verbose_name": in_words(column["name"]),
                    "is_dttm": column["name"] in times,
                    "is_active": True,
                    "type": column["data_type"].upper(),
                    "groupby": True,
                    "filterable": True,
                    "description": column["description"].strip(),
                }
                for column in columns
            ],
            "metrics": [
                *measures(mart),
                *(card_metrics(self.manifest) if mart == CARDS_OF else ()),
            ],
            "uuid": self.uuid("dataset", mart),
            "database_uuid": self.uuid("database"),
            "version": VERSION,
        }

    def chart(self, chart: Chart) -> Json:
        """A chart with the query that the API answers and the settings that the browser draws."""
        source = self.uuid("dataset", chart.mart)
        params = settings(chart)
        context = {
            "datasource": {"id": source, "type": "table"},
            "force": False,
            "queries": [query(chart)],
            "form_data": params,
            "result_format": "json",
            "result_type": "full",
        }
        return {
            "slice_name": chart.title,
            "description": chart.description,
            "viz_type": KINDS[chart.kind],
            "params": params,
            "query_context": json.dumps(context),
            "uuid": self.uuid("chart", chart.name),
            "dataset_uuid": source,
            "version": VERSION,
        }

    def dashboard(self) -> Json:
        """The charts in their rows, with a filter by model."""
        return {
            "dashboard_title": self.name,
            "description": INTRODUCTION,
            "slug": None,
            "uuid": self.uuid("dashboard"),
            "position": self.position(),
            "metadata": {
                "color_scheme": "supersetColors",
                "label_colors": dict(self.colours),
                "cross_filters_enabled": False,
                "native_filter_configuration": [
                    {
                        "id": "NATIVE_FILTER-model",
                        "name": "Model",
                        "type": "NATIVE_FILTER",
                        "filterType": "filter_select",
                        "targets": [
                            {
                                "datasetUuid": self.uuid("dataset", "mart_scorecard"),
                                "column": {"name": "model_id"},
                            }
                        ],
                        "controlValues": {"multiSelect": True},
                        "defaultDataMask": {"extraFormData": {}, "filterState": {}},
                        "cascadeParentIds": [],
                        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
                        "description": "",
                    }
                ],
            },
            "published": True,
            "version": VERSION,
        }

    def position(self) -> Json:
        """The tree of rows that Superset lays out."""
        charts = {chart.name: chart for chart in CHARTS}
        numbers = {chart.name: number for number, chart in enumerate(CHARTS, start=1)}
        rows = [f"ROW-{number}" for number in range(len(ROWS) + 1)]
        top = ["ROOT_ID", "GRID_ID"]
        introduction: Json = {
            "type": "MARKDOWN",
            "id": "MARKDOWN-introduction",
            "children": [],
            "parents": [*top, rows[0]],
            "meta": {"width": 12, "height": 9, "code": INTRODUCTION},
        }
        found: Json = {
            "DASHBOARD_VERSION_KEY": "v2",
            "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
            "GRID_ID": {
                "type": "GRID",
                "id": "GRID_ID",
                "children": rows,
                "parents": ["ROOT_ID"],
            },
            "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": self.name}},
            introduction["id"]: introduction,
        }
        children = [[introduction["id"]], *([f"CHART-{name}" for name in row] for row in ROWS)]
        for row, within in zip(rows, children, strict=True):
            found[row] = {
                "type": "ROW",
                "id": row,
                "children": within,
                "parents": top,
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
        for row, names in zip(rows[1:], ROWS, strict=True):
            for name in names:
                found[f"CHART-{name}"] = {
                    "type": "CHART",
                    "id": f"CHART-{name}",
                    "children": [],
                    "parents": [*top, row],
                    "meta": {
                        "chartId": numbers[name],
                        "width": 12 // len(names),
                        "height": charts[name].height,
                        "sliceName": charts[name].title,
                        "uuid": self.uuid("chart", name),
                    },
                }
        return found


def export(workspace: Workspace, *, name: str = NAME, uri: str | None = None) -> bytes:
    """An archive that Superset imports by POST to /api/v1/assets/import/.

    Args:
        name: of the database and the dashboard; another name gives assets of their own.
        uri: of SQLAlchemy, as Superset reaches the marts; of DuckDB the published file by default.

    Raises UserError where dbt has not read the project, or no address is known.
    """
    if uri is None and not workspace.is_in_file:
        what = "how Superset reaches the warehouse is not known"
        fix = "Name it: --uri postgresql+psycopg2://bi_reader@host/database"
        raise refuse(what, where=f"target {workspace.target}", fix=fix)
    marts = sorted({chart.mart for chart in CHARTS})
    assets = Assets(
        name=name,
        uri=uri or f"duckdb:///{workspace.published.resolve()}",
        places={mart: workspace.place("marts", mart) for mart in marts},
        colours=colours(workspace),
        manifest=artefact(workspace, "manifest.json"),
    )
    return archive(dict(assets.files()))


def colours(workspace: Workspace) -> dict[str, str]:
    """A colour for each model, by id and by name; none before a first build.

    Superset gives each chart colours of its own, and two lines of one chart may then share one.
    """
    relations = {"mart_scorecard": "marts"}
    try:
        rows = scorecard.rows_of_last_build(workspace, relations, named="the dashboard")
    except UserError:
        return {}
    models = sorted({(row["model_id"], row["model_name"]) for row in rows["mart_scorecard"]})
    return {
        label: COLOURS[number % len(COLOURS)]
        for number, labels in enumerate(models)
        for label in labels
    }


def archive(files: Mapping[str, Json]) -> bytes:
    """The files as YAML in a ZIP, byte by byte the same for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, content in files.items():
            entry = zipfile.ZipInfo(f"throughline/{path}", FIXED)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return made.getvalue()


def named(*words: str) -> UUID:
    return uuid5(NAMESPACE_URL, "/".join(("throughline", *words)))


def model(manifest: Json, name: str) -> Json:
    """A model of ours as dbt wrote it down."""
    found: Json = manifest["nodes"][f"model.throughline.{name}"]
    return found


def in_words(name: str) -> str:
    """The name of a column as the head of a table."""
    words = name.removesuffix("_id").removesuffix("_amount").replace("_", " ")
    return words[:1].upper() + words[1:]


def is_time(data_type: str) -> bool:
    return data_type.lower().startswith(("date", "timestamp"))


def measures(mart: str) -> Iterator[Json]:
    """What charts of a mart draw: columns of rows that are one per point, or that add up."""
    for name, (function, column, shape) in MEASURES.get(mart, {}).items():
        yield {
            "metric_name": name,
            "verbose_name": in_words(name),
            "expression": f"{function}({column})",
            "d3format": FORMATS.get(shape, DIGITS),
        }


def card_metrics(manifest: Json) -> Iterator[Json]:
    """The governed metrics that cells of months add up to: sums, and sums divided by sums."""
    for metric, card in cards(manifest):
        if card.get("shape"):
            continue
        is_meant = f"metric = {sql.literal(metric['name'])} AND {READABLE}"
        parts = [
            f"SUM(CASE WHEN {is_meant} THEN {part} END)" for part in ("numerator", "denominator")
        ]
        is_ratio = metric["type"] == "ratio"
        told = [
            metric["description"].strip(),
            f"Unit: {card['unit']}. Direction: {card['direction']}. Owner: {card['owner']}.",
            "" if is_ratio else "Group by model_id: what models share counts once for each.",
        ]
        yield {
            "metric_name": metric["name"],
            "verbose_name": metric["label"],
            "expression": f"{parts[0]} / NULLIF({parts[1]}, 0)" if is_ratio else parts[0],
            "description": " ".join(filter(None, told)),
            "d3format": FORMATS.get(card["unit"], DIGITS),
        }


def query(chart: Chart) -> Json:
    """What the API is asked: rows of a table, or the measures of each point."""
    asked: Json = {
        "filters": [
            {"col": one.column, "op": one.operator, "val": one.value} for one in chart.filters
        ],
        "extras": {"having": "", "where": ""},
        "applied_time_extras": {},
        "columns": list(chart.columns),
        "orderby": [[column, is_ascending] for column, is_ascending in chart.order],
        "annotation_layers": [],
        "row_limit": chart.row_limit,
        "series_limit": 0,
        "order_desc": True,
        "url_params": {},
        "custom_params": {},
        "custom_form_data": {},
    }
    if chart.kind in ("line", "bar"):
        asked["columns"] = [axis(chart.x), *chart.columns]
        asked["series_columns"] = list(chart.columns)
    if chart.metrics:
        asked["metrics"] = list(chart.metrics)
    return asked


def axis(column: str) -> Json:
    """A day column as the axis of a chart."""
    return {
        "timeGrain": "P1D",
        "columnType": "BASE_AXIS",
        "sqlExpression": column,
        "label": column,
        "expressionType": "SQL",
    }


def settings(chart: Chart) -> Json:
    """What the browser draws, and the query that it asks anew."""
    common: Json = {
        "viz_type": KINDS[chart.kind],
        "adhoc_filters": [adhoc(one) for one in chart.filters],
        "row_limit": chart.row_limit,
        "extra_form_data": {},
    }
    if chart.kind == "table":
        return {
            **common,
            "query_mode": "raw",
            "all_columns": list(chart.columns),
            "order_by_cols": [json.dumps([column, ascends]) for column, ascends in chart.order],
            "column_config": {
                column: {"d3NumberFormat": shape} for column, shape in chart.formats.items()
            },
            "table_timestamp_format": DAY,
            "page_length": 0,
            "show_cell_bars": False,
        }
    if chart.kind == "pivot":
        return {
            **common,
            "groupbyRows": list(chart.columns),
            "groupbyColumns": [],
            "metrics": list(chart.metrics),
            "metricsLayout": "COLUMNS",
            "aggregateFunction": "Maximum",
            "rowOrder": "key_a_to_z",
            "colOrder": "key_a_to_z",
            "date_format": DAY,
        }
    return {
        **common,
        "x_axis": chart.x,
        "time_grain_sqla": "P1D",
        "metrics": list(chart.metrics),
        "groupby": list(chart.columns),
        "order_desc": True,
        "show_legend": True,
        "legendType": "scroll",
        "legendOrientation": "top",
        "rich_tooltip": True,
        "x_axis_time_format": chart.time_format,
        "y_axis_format": chart.number_format,
        "tooltipTimeFormat": DAY,
        "truncateYAxis": chart.is_cut,
    }


def adhoc(one: Filter) -> Json:
    """A filter as the browser keeps it."""
    return {
        "clause": "WHERE",
        "expressionType": "SIMPLE",
        "subject": one.column,
        "operator": one.operator,
        "comparator": one.value,
    }
