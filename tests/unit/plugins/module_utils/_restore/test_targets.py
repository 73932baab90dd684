# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database of a host that is not ready yet is unknown in check mode, and an error otherwise."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    MissingLibrary,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import postgresql, targets
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.placing import Directories
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.targets import (
    UnreadTarget,
    UnseenTarget,
    find_target,
    major,
)

_CONFIGURATION = b"database: {name: psycopg2, args: {host: 127.0.0.1, port: 9, user: u, password: p, dbname: d}}\n"
_MANIFEST = {
    "engine": "postgresql",
    "database": {"engine": "postgresql", "name": "d", "host": "h", "server_version": "15.8 (Debian)"},
    "service": {"config_path": ["/c/homeserver.yaml"]},
    "files": [{"member": "files/1", "path": "/c/homeserver.yaml"}],
}


def _found(unseen: t.Callable[[str, str, str], None] | None) -> t.Any:
    owner, directories = Attributes(0o600, 0, 0), Directories({}, set())
    return find_target(_MANIFEST, {"/c/homeserver.yaml": _CONFIGURATION}, directories, owner, unseen)


class _Unreachable:
    shown, server_directory = "the database", "/srv"

    def data(self) -> str:
        raise ConnectionFailed("It cannot be reached.")

    def problems(self) -> list[str]:
        raise MissingLibrary("psycopg2", "to read it")


def test_a_database_that_cannot_be_reached_yet() -> None:
    noted: list[tuple[str, str, str]] = []
    target = UnseenTarget(t.cast("t.Any", _Unreachable()), lambda *each: noted.append(each))
    assert target.data() == ""
    assert target.problems() == []
    assert [name for name, _reason, _fix in noted] == ["database"]
    assert target.shown == "the database"
    assert target.server_directory == "/srv"


def test_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_given: t.Any) -> t.NoReturn:
        raise MissingLibrary("PyYAML", "to read it")

    monkeypatch.setattr(targets, "archived_database", missing)
    with pytest.raises(MissingLibrary):
        _found(None)
    noted: list[tuple[str, str, str]] = []
    target = _found(lambda *each: noted.append(each))
    assert isinstance(target, UnreadTarget)
    assert target.data() == ""
    assert target.server_directory == ""
    assert target.shown == "the PostgreSQL database d at h"
    assert noted
    with pytest.raises(SynapseError):
        target.restore([], {})


def test_the_database_of_the_configuration() -> None:
    assert _found(None).shown == "the PostgreSQL database d at 127.0.0.1"


@pytest.mark.parametrize(
    ("host", "server", "answers", "user", "directory"),
    [
        # The data may be on another disk than the directory of Debian.
        ("127.0.0.1", "big", True, 0, "big"),
        ("", "big", True, 0, "big"),
        # The role synapse_postgresql has not installed it yet.
        ("127.0.0.1", "", False, 0, "debian"),
        # In a container, or at the end of a tunnel. Another user cannot see where a server of this host has its data.
        ("127.0.0.1", "", True, 0, ""),
        ("127.0.0.1", "", True, 1000, "debian"),
        ("db.example.org", "big", True, 0, ""),
    ],
)
def test_where_a_server_keeps_its_data(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    server: str,
    answers: bool,
    user: int,
    directory: str,
) -> None:
    for name in ("big", "debian"):
        (tmp_path / name).mkdir()
    (tmp_path / "cwd").symlink_to(tmp_path / "big")
    asked: list[tuple[str, int]] = []

    def find(*address: t.Any) -> str:
        asked.append(address)
        return str(tmp_path / "cwd") if server else ""

    @contextlib.contextmanager
    def connected(_target: t.Any) -> t.Iterator[None]:
        if not answers:
            raise ConnectionFailed("It cannot be reached.")
        yield

    monkeypatch.setattr(postgresql, "_DEBIAN", str(tmp_path / "debian"))
    monkeypatch.setattr(postgresql, "find_server_directory", find)
    monkeypatch.setattr(postgresql.PostgresqlTarget, "_connected", connected)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    settings = DatabaseSettings("psycopg2", {"host": host, "dbname": "d"}, "homeserver.yaml")
    target = postgresql.PostgresqlTarget(settings, Attributes(0o600, 0, 0), dumped_by=15, made_in=15)
    assert target.server_directory == (str(tmp_path / directory) if directory else "")
    assert asked == ([] if host == "db.example.org" else [(host or "/var/run/postgresql", 5432)])


@pytest.mark.parametrize(("text", "number"), [("15.8 (Debian)", 15), ("16beta1", 16), (None, 0), ("x", 0), (17, 17)])
def test_major_versions(text: t.Any, number: int) -> None:
    assert major(text) == number
