"""The warehouse of the active target, through dbt's own connection.

So profiles.yml alone says where it is.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from throughline import build
from throughline.workspace import UserError, Workspace, refuse


@dataclass(frozen=True)
class Warehouse:
    """An open connection; `kind` is the type of dbt adapter, such as postgres or spark."""

    kind: str
    schema: str
    adapter: Any

    def execute(self, sql: str) -> None:
        self.adapter.execute(sql)

    def query(self, sql: str) -> list[dict[str, Any]]:
        _, table = self.adapter.execute(sql, fetch=True)
        return [dict(row) for row in table.rows]

    @property
    def handle(self) -> Any:
        """The driver's own connection."""
        return self.adapter.connections.get_thread_connection().handle


@contextlib.contextmanager
def connect(workspace: Workspace) -> Iterator[Warehouse]:
    """Opens the active target; raises UserError where dbt cannot connect to it."""
    with build.within(build.environment(workspace)):
        # dbt takes seconds to import, and most commands do without it here.
        from dbt.adapters.factory import FACTORY
        from dbt.cli.main import dbtRunner

        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            answer = dbtRunner().invoke(["--no-use-colors", "debug", "--connection"])
        if not answer.success:
            raise refuse(
                _fault(said.getvalue()) or str(answer.exception),
                where=f"target {build.target(workspace)}",
                fix="Start the server, or correct the variables that profiles.yml reads.",
            )
        adapters: Iterable[Any] = FACTORY.adapters.values()
        (adapter,) = adapters
        with adapter.connection_named("throughline"):
            yield Warehouse(adapter.type(), adapter.config.credentials.schema, adapter)
        adapter.cleanup_connections()


def read(workspace: Workspace, layer: str, relation: str) -> list[dict[str, Any]]:
    """The rows of a relation of the active target; raises LookupError where it cannot be read."""
    from dbt_common.exceptions import DbtBaseException

    try:
        with connect(workspace) as found:
            return found.query(f"select * from {found.schema}_{layer}.{relation}")
    except (DbtBaseException, UserError):
        raise LookupError(relation) from None


def _fault(output: str) -> str:
    """What `dbt debug` says is wrong, on one line."""
    text = re.split(r"(?m)^.*failed:\n|^\s*>", build.plain(output))[-1]
    return build.telling(re.split("Check your database credentials|^.*following reason:", text)[0])
