"""A Superset of its own on a loopback port, and the calls that a client makes to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
PASSWORD = "only-on-loopback"
CONFIG = """
import os
SECRET_KEY = "of a server that lives as long as a test"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
AUTH_ROLE_PUBLIC = os.environ.get("ROLE_OF_ALL", "Public")
"""
ADMIN = ("--username", "admin", "--firstname", "A", "--lastname", "B", "--email", "a@example.com")


@dataclass(frozen=True)
class Superset:
    """A running server and a token of its administrator."""

    url: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of the API; raises HTTPError with what it said where it refuses."""
        data = None if body is None else json.dumps(body).encode()
        return self.send(method, path, data, "application/json")

    def bring(self, archive: bytes) -> Any:
        """Imports an archive of assets."""
        edge = "edge-of-the-form"
        head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="bundle"; filename="a.zip"\r\n'
            "Content-Type: application/zip\r\n\r\n"
        )
        data = head.encode() + archive + f"\r\n--{edge}--\r\n".encode()
        path = "/api/v1/assets/import/"
        return self.send("POST", path, data, f"multipart/form-data; boundary={edge}")

    def send(self, method: str, path: str, data: bytes | None, kind: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        if data is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every database, dataset, chart or dashboard."""
        found: list[dict[str, Any]] = self.call("GET", f"/api/v1/{kind}/?q=(page_size:100)")[
            "result"
        ]
        return found


def prepare(home: Path) -> None:
    """Makes the data of a server, with an administrator, in a new folder."""
    home.mkdir(parents=True)
    (home / "superset_config.py").write_text(CONFIG.format(home=home), encoding="utf-8")
    for command in (
        ("db", "upgrade"),
        ("fab", "create-admin", *ADMIN, "--password", PASSWORD),
        ("init",),
    ):
        with (home / "log").open("ab") as log:
            subprocess.run(
                [BIN / "superset", *command],
                env=_environment(home),
                stdout=log,
                stderr=log,
                check=True,
            )


@contextmanager
def serving(home: Path, *, to_all: bool = False) -> Iterator[Superset]:
    """A server on a free port; `to_all` needs no login, as a browser without a hand has none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    workers = ("-w", "1", "-k", "gthread", "--threads", "4", "-t", "120")
    with (home / "log").open("ab") as log:
        server = subprocess.Popen(
            [BIN / "gunicorn", *workers, "-b", address, "superset.app:create_app()"],
            env=_environment(home) | {"ROLE_OF_ALL": "Admin" if to_all else "Public"},
            stdout=log,
            stderr=log,
        )
        try:
            yield Superset(url=f"http://{address}", token=_token(f"http://{address}", server))
        finally:
            server.terminate()
            server.wait()


def _environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "FLASK_APP": "superset",
        "SCARF_ANALYTICS": "false",
    }


def _token(url: str, server: subprocess.Popen[bytes]) -> str:
    """Of the administrator, once the server answers."""
    known: Mapping[str, Any] = {"username": "admin", "password": PASSWORD, "provider": "db"}
    anonymous = Superset(url=url, token="")
    for _ in range(240):
        assert server.poll() is None, "Superset ended; see its log"
        try:
            answer = anonymous.call("POST", "/api/v1/security/login", known)
        except urllib.error.URLError:
            time.sleep(0.5)
            continue
        return str(answer["access_token"])
    raise AssertionError("Superset did not answer within two minutes; see its log")
