# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running Synapse as a test sees it: plain HTTP straight to it, and its database. No code of the collection."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
import sqlite3
import typing as t
import unicodedata
import urllib.parse

import bcrypt
import psycopg2

Json = dict[str, t.Any]

_PATIENCE = 60.0
# A device that looks whether a password is right, and is logged out at once.
_PROBE = "PROBE"
_SECRETS = ("admin_access_token", "admin_password", "user_access_token", "user_password", "registration_shared_secret")


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket. Synapse needs an address of the client, which only a header can tell then."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


class Server:
    """One Synapse. `described`: what servers.py says of it. `unix_socket`: where it listens instead of `base_url`."""

    unix_socket = ""

    def __init__(self, described: Json) -> None:
        self.name = str(described["server_name"])
        self.engine = str(described["engine"])
        self.base_url = str(described["base_url"])
        self.token = str(described["admin_access_token"])
        self.admin = str(described["admin_user_id"])
        self.secret = str(described["registration_shared_secret"])
        self.secrets = [str(described[name]) for name in _SECRETS]
        self.config_path: list[str] = described["config_path"]
        self.python = str(described["python"])
        self.directory = str(described["directory"])
        self.metrics_url = str(described["metrics_url"])
        self.log = str(described["log"])
        # A plain user, who is in nothing.
        self.user = str(described["user_id"])
        self.user_password = str(described["user_password"])
        self.user_token = str(described["user_access_token"])
        self._database: Json = described["database"]
        self._connection: http.client.HTTPConnection | None = None
        self._database_connection: t.Any = None

    def user_id(self, localpart: str) -> str:
        """Return the full user ID."""
        return f"@{localpart}:{self.name}"

    def ask(self, method: str, path: str, body: Json | None = None, token: str | None = None) -> tuple[int, Json]:
        """Send a request, with the admin's token unless another one ("" for none) is given; return status and JSON."""
        headers = {"Content-Type": "application/json", **({"X-Forwarded-For": "::1"} if self.unix_socket else {})}
        used = self.token if token is None else token
        if used:
            headers["Authorization"] = f"Bearer {used}"
        content = None if body is None else json.dumps(body)
        for attempt in (1, 2):
            if self._connection is None:
                netloc = urllib.parse.urlsplit(self.base_url).netloc
                self._connection = (
                    _OverSocket(self.unix_socket)
                    if self.unix_socket
                    else http.client.HTTPConnection(netloc, timeout=_PATIENCE)
                )
            try:
                self._connection.request(method, path, content, headers)
                answer = self._connection.getresponse()
                return answer.status, json.loads(answer.read() or b"{}")
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                # Synapse closes a connection on which nothing was said for some time.
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        raise AssertionError("not reached")

    def forget_connection(self) -> None:
        """Close the connection, because the server listens elsewhere from now on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def forget_database(self) -> None:
        """Close the connection to the database, because it is another one from now on."""
        if self._database_connection is not None:
            self._database_connection.close()
            self._database_connection = None

    def get(self, path: str) -> Json:
        """Return the answer to GET as the admin. Raises AssertionError if it is refused."""
        status, answer = self.ask("GET", path)
        assert status == 200, (path, status, answer)
        return answer

    def found(self, path: str) -> Json | None:
        """Return the answer to GET as the admin, or None if there is nothing."""
        status, answer = self.ask("GET", path)
        assert status in (200, 404), (path, status, answer)
        return answer if status == 200 else None

    def send(self, method: str, path: str, body: Json | None = None, token: str | None = None) -> Json:
        """Send a request that has to be accepted, and return its answer. Raises AssertionError if it is not."""
        status, answer = self.ask(method, path, {} if body is None else body, token)
        assert status in (200, 201), (method, path, status, answer)
        return answer

    def make_account(self, localpart: str, **body: t.Any) -> str:
        """Make or change an account and return its user ID."""
        user_id = self.user_id(localpart)
        self.send("PUT", f"/_synapse/admin/v2/users/{user_id}", body)
        return user_id

    def log_in(self, user_id: str, password: str, device: str) -> str | None:
        """Return an access token, or None if the login is refused."""
        identifier = {"type": "m.id.user", "user": user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": password, "device_id": device}
        status, answer = self.ask("POST", "/_matrix/client/v3/login", body, "")
        return str(answer["access_token"]) if status == 200 else None

    def accepts(self, user_id: str, password: str) -> bool:
        """Whether that is the password. Leaves no device."""
        token = self.log_in(user_id, password, _PROBE)
        if token:
            self.send("POST", "/_matrix/client/v3/logout", {}, token)
        return token is not None

    def has_password(self, user_id: str, password: str) -> bool:
        """Whether that is the stored password of the account. Takes less than a login, and says nothing of who may."""
        rows = self.rows("SELECT password_hash FROM users WHERE name = ?", user_id)
        stored = str(rows[0][0] or "") if rows else ""
        return bool(stored) and bcrypt.checkpw(unicodedata.normalize("NFKC", password).encode(), stored.encode())

    def speaking_as(self, user_id: str) -> str:
        """Return a token of that account that makes no device."""
        return str(self.send("POST", f"/_synapse/admin/v1/users/{user_id}/login")["access_token"])

    def make_room(self, token: str, **body: t.Any) -> str:
        """Make a room as the account with that token, and return its id."""
        return str(
            self.send("POST", "/_matrix/client/v3/createRoom", {"preset": "private_chat", **body}, token)["room_id"]
        )

    def register(self, localpart: str, password: str, *, admin: bool = False) -> None:
        """Register an account with the shared secret: it gets no device."""
        nonce = self.ask("GET", "/_synapse/admin/v1/register", None, "")[1]["nonce"]
        signed = "\0".join((nonce, localpart, password, "admin" if admin else "notadmin"))
        mac = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac}
        self.send("POST", "/_synapse/admin/v1/register", {**body, "inhibit_login": True}, "")

    def rows(self, query: str, *values: t.Any) -> list[tuple[t.Any, ...]]:
        """Return what a query finds; ? stands for each of the values."""
        with self._cursor() as cursor:
            cursor.execute(self._words(query), values)
            return [tuple(row) for row in cursor.fetchall()]

    def write(self, statement: str, *values: t.Any) -> None:
        """Change the database behind Synapse's back."""
        with self._cursor() as cursor:
            cursor.execute(self._words(statement), values)

    def _words(self, query: str) -> str:
        return query if self._database["name"] == "sqlite3" else query.replace("?", "%s")

    @contextlib.contextmanager
    def _cursor(self) -> t.Iterator[t.Any]:
        """Give a cursor of the one connection: to open one takes more than ten queries. Each statement is committed."""
        if self._database_connection is None:
            self._database_connection = self._connect()
        with contextlib.closing(self._database_connection.cursor()) as cursor:
            yield cursor

    def _connect(self) -> t.Any:
        if self._database["name"] == "sqlite3":
            return sqlite3.connect(self._database["database"], timeout=_PATIENCE, isolation_level=None)
        names = {"host": "host", "port": "port", "dbname": "database", "user": "user", "password": "password"}
        connection = psycopg2.connect(**{name: self._database[key] for name, key in names.items()})
        connection.autocommit = True
        return connection

    @property
    def database(self) -> Json:
        """How the database is reached: the `name` of its engine as Synapse calls it, and what that is given."""
        return dict(self._database)
