# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of the system and of persons are recognized under all their names."""

from __future__ import annotations

import os

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _system_directory as system_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import (
    Account,
    belongs_to,
    keeps_files_out,
    names_of,
    read_accounts,
    whose,
)

ACCOUNTS = [
    Account("root", 0, names_of("/root")),
    Account("postgres", 101, names_of("/srv/postgresql")),
    Account("synapse", 998, names_of("/srv/synapse")),
    Account("alice", 1000, names_of("/data/people/alice")),
    Account("nobody", 65534, names_of("nowhere")),
]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/bin",
        "/bin/x",
        "/boot/x",
        "/dev/shm/x",
        "/etc",
        "/etc/apt/apt.conf.d",
        "/etc/bash_completion.d",
        "/etc/rc0.d",
        "/etc/rcS.d",
        "/etc/systemd/system",
        "/etc/ssl",
        "/etc/update-motd.d",
        "/home",
        "/lib",
        "/lib32/x",
        "/libx32",
        "/media",
        "/mnt",
        "/opt",
        "/proc/self",
        "/root",
        "/run",
        "/run/lock",
        "/sbin",
        "/srv",
        "/sys/fs",
        "/tmp",
        "/usr",
        "/usr/share/synapse",
        "/usr/local",
        "/usr/local/bin",
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/lib/dpkg/info",
        "/var/log",
        "/var/mail",
        "/var/run",
        "/var/spool/cron",
        "/var/tmp",
        "/var/www",
    ],
)
def test_directories_of_the_system(path: str) -> None:
    assert belongs_to(path)
    assert "of the system" in (whose(path, None, []) or "")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/matrix-synapse",
        "/etc/matrix-synapse/conf.d",
        "/opt/venvs",
        "/opt/venvs/matrix-synapse",
        "/usr/local/synapse",
        "/usr/local/lib/synapse",
        "/var/lib/matrix-synapse",
        "/var/log/matrix-synapse",
        "/srv/synapse",
        "/run/matrix-synapse",
        "/data",
        "/usr2",
        "/binary",
        "/tmp/x",
        "/root/synapse",
        "/var/www/synapse",
    ],
)
def test_directories_of_a_server(path: str) -> None:
    assert belongs_to(path) is None
    assert whose(path, None, []) is None


@pytest.mark.parametrize(
    ("path", "owner", "foreign"),
    [
        ("/home/alice", None, True),
        ("/home/alice", "alice", True),
        ("/home/alice/synapse", None, False),
        ("/data/people/alice", None, True),
        ("/data/people/alice", "synapse", True),
        ("/data/people/alice", "alice", False),
        ("/data/people/alice/synapse", "synapse", False),
        ("/srv/synapse", "synapse", False),
        ("/srv/synapse", "postgres", True),
        ("/srv/postgresql", "synapse", True),
    ],
)
def test_homes_of_others(path: str, owner: str | None, foreign: bool) -> None:
    assert (whose(path, owner, ACCOUNTS) is not None) == foreign


def test_the_home_of_the_account_that_a_server_runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 998)
    assert whose("/srv/synapse", None, ACCOUNTS) is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert whose("/data/people/alice", None, ACCOUNTS) == "the home directory of alice"


def test_another_name_for_the_same_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = {"/usr": (1, 2), "/data/programs": (1, 2), "/var/log": (1, 3), "/data/log": (1, 3)}
    monkeypatch.setattr(system_directory, "_identity", identities.get)
    monkeypatch.setattr(system_directory, "_identities", system_directory._identities.__wrapped__)
    assert whose("/data/programs", None, []) == "/usr, a directory of the system"
    assert whose("/data/programs/share/x", None, []) == "/usr, a directory of the system"
    assert whose("/data/programs/local/synapse", None, []) is None
    assert whose("/data/log", None, []) == "/var/log, a directory of the system"
    assert whose("/data/log/synapse", None, []) is None


def test_accounts_of_this_host() -> None:
    assert {account.uid for account in read_accounts() if account.name == "root"} == {0}


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/usr", "/usr/x", "/usr/local/bin", "/var/log", "/var/lib", "/home", "/dev/shm"]
)
def test_where_only_the_system_puts_files(path: str) -> None:
    assert "a directory of the system" in str(keeps_files_out(path))


@pytest.mark.parametrize(
    "path", ["/root", "/srv", "/srv/exports", "/var/backups", "/tmp", "/home/alice", "/etc/matrix", "/var/lib/x"]
)
def test_where_others_put_files(path: str) -> None:
    assert keeps_files_out(path) is None
