# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_lsclusters and the system show of PostgreSQL."""

from __future__ import annotations

import pathlib
import pwd
import subprocess

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import postgresql_host
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.postgresql_host import Cluster

_LISTED = """\
14  main    5433 down,binaries_missing postgres  /var/lib/postgresql/14/main /var/log/postgresql/14.log
15  my-own  5432 online,recovery       <unknown> /srv/my data                /var/log/postgresql/15.log
"""


def test_clusters_are_listed() -> None:
    clusters = postgresql_host.parse_clusters(_LISTED, lambda path: "# by hand\nmanual\n" if "14" in path else "")
    assert clusters == [
        Cluster("14", "main", 5433, False, "postgres", "manual"),
        Cluster("15", "my-own", 5432, True, "<unknown>", "auto"),
    ]
    assert clusters[1].unit == "postgresql@15-my-own.service"


@pytest.mark.parametrize(
    ("text", "start"), [("", "auto"), ("# auto\n\ndisabled # for now\n", "disabled"), ("auto\n", "auto")]
)
def test_who_starts_a_cluster(text: str, start: str) -> None:
    assert postgresql_host.start_of(text) == start


def test_masked_units_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"a.service": "masked-runtime\n", "b.service": "enabled\n", "c.service": "masked\n", "d.service": ""}

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, states[command[-1]], "")

    monkeypatch.setattr(postgresql_host, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert postgresql_host.masked(states).endswith(" Run: systemctl unmask a.service c.service")
    assert postgresql_host.masked(["b.service", "d.service"]) == ""
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert postgresql_host.masked(states) == ""


def test_a_port_is_taken_if_somebody_listens(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1538 00000000:0000 0A 00000000\n"
        "   1: 0100007F:1539 0100007F:1538 01 00000000\n"
    )
    assert postgresql_host.is_taken(5432, [str(tmp_path / "missing"), str(table)])
    assert not postgresql_host.is_taken(5433, [str(table)])


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("", True),
        ("/var/run/postgresql", True),
        ("localhost", True),
        ("127.0.1.1", True),
        ("::1", True),
        ("db.example.org", False),
        ("127.0.0.1.example.org", False),
        ("localhost\n", False),
    ],
)
def test_which_hosts_are_this_one(host: str, local: bool) -> None:
    assert postgresql_host.is_local(host) == local


def test_settings_of_a_cluster_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "listen_addresses = ''\nport = 5432\nsearch_path = '\"a\", it''s'\n"
    done = subprocess.CompletedProcess([], 0, printed, "")
    monkeypatch.setattr(postgresql_host, "run", lambda _command: done)
    cluster = Cluster("15", "main", 5432, False, "postgres", "auto")
    wanted = {"listen_addresses": "", "port": "5432", "search_path": '"a", it\'s'}
    assert postgresql_host.settings_of(cluster) == wanted


def test_who_can_write_into_a_directory(tmp_path: pathlib.Path) -> None:
    owner = pwd.getpwuid(tmp_path.stat().st_uid).pw_name
    assert postgresql_host.owns(owner, str(tmp_path))
    assert not postgresql_host.owns(owner, str(tmp_path / "missing"))
    assert not postgresql_host.owns("bin" if owner != "bin" else "root", str(tmp_path))
    assert not postgresql_host.owns("no such user", str(tmp_path))
