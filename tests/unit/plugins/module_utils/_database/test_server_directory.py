# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.server_directory import (
    find_server_directory,
)


class Host:
    """The processes of a host."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self.proc = directory / "proc"
        self.proc.mkdir()

    def start(self, pid: int, port: int = 5432, name: str = "postgres", **changed: t.Any) -> pathlib.Path:
        """Start a process, and return a path to its directory, which has a file as PostgreSQL writes it."""
        data = self._directory / f"data {pid}"
        data.mkdir()
        lines = {"pid": pid, "data": data, "started": 1, "port": port, "socket": "/run/a", "address": "localhost"}
        lines |= {"pid": changed.pop("written_pid", pid), "key": " 1 2", "status": "ready", **changed}
        (data / "postmaster.pid").write_text("".join(f"{value}\n" for value in lines.values()))
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "comm").write_text(f"{name}\n")
        (self.proc / str(pid) / "cwd").symlink_to(data)
        return self.proc / str(pid) / "cwd"

    def find(self, host: str = "localhost", port: int = 5432) -> str:
        """Find the directory."""
        return find_server_directory(host, port, str(self.proc))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "/run/a", "/run/../run/a"])
def test_the_server_at_a_port_is_found(host: Host, name: str) -> None:
    host.start(20, 5433)
    wanted = host.start(21)
    # The others of its processes work in the same directory.
    (host.proc / "22").mkdir()
    (host.proc / "22" / "comm").write_text("postgres\n")
    (host.proc / "22" / "cwd").symlink_to(wanted)
    # Something else, and one that has just ended.
    host.start(23, name="sh")
    (host.proc / "24").mkdir()
    assert host.find(name) == str(wanted)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"port": 5433}, "localhost"),
        ({"port": "-"}, "localhost"),
        # Left over, or that of a container.
        ({"written_pid": 1}, "localhost"),
        # It listens at no address, or in another directory.
        ({"address": ""}, "localhost"),
        ({}, "/run/b"),
        ({"name": "bash"}, "localhost"),
    ],
)
def test_a_server_that_is_not_meant(host: Host, changed: dict[str, t.Any], name: str) -> None:
    host.start(21, **changed)
    assert host.find(name) == ""


def test_a_server_elsewhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start(21)
    # Addresses for documentation (RFC 5737): no host has one.
    assert host.find("192.0.2.1") == ""
    there = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 9)) for address in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: there)
    assert host.find("db.example.org") == ""


def test_what_cannot_be_read_is_not_known(host: Host) -> None:
    cwd = host.start(21)
    (cwd / "postmaster.pid").write_text("21\n")
    assert host.find() == ""
    (cwd / "postmaster.pid").unlink()
    assert host.find() == ""
    assert find_server_directory("localhost", 5432, str(host.proc / "missing")) == ""


def test_two_servers_at_the_same_port_are_not_told_apart(host: Host) -> None:
    host.start(21, address="127.0.0.1")
    host.start(22, address="127.0.0.2")
    assert host.find() == ""
