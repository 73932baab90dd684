# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import sys
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import sockets
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.connections import KINDS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.open_files import OpenFiles, read_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sockets import UnixSocket

PID = 7
SERVER = {"type": "http", "port": 8008, "resources": [{"names": ["client", "federation"]}]}


class Kernel:
    """A /proc with one process, whose files and sockets a test creates."""

    def __init__(self, proc: pathlib.Path) -> None:
        self.proc, self.fd, self.net = proc, proc / str(PID) / "fd", proc / str(PID) / "net"
        self.fd.mkdir(parents=True)
        self.net.mkdir()
        for table in ("tcp", "tcp6", "unix"):
            (self.net / table).write_text("a heading\n")
        self._number = 2

    def link(self, target: str, name: str = "") -> None:
        self._number += 1
        (self.fd / (name or str(self._number))).symlink_to(target)

    def tcp(self, local: str, remote: str, state: str = "01", times: int = 1, files: int = 1) -> None:
        family = "tcp6" if "[" in local else "tcp"
        for _time in range(times):
            self._number += 1
            inode = 1000 + self._number
            with (self.net / family).open("a") as table:
                table.write(
                    f"   0: {as_kernel_writes(local)} {as_kernel_writes(remote)} {state} 00000000:00000000 00:00000000"
                    f" 00000000     5        0 {inode} 1 0000000000000000 20 4 30 10 -1\n"
                )
            for _again in range(files):
                self.link(f"socket:[{inode}]")

    def ask(self, settings: dict[str, t.Any], worker: bool = False, working_directory: str | None = "/") -> OpenFiles:
        found = read_open_files(PID, settings, worker, working_directory, str(self.proc))
        assert tuple(found.by_kind) == KINDS
        assert sum(found.by_kind.values()) == len(os.listdir(self.fd))
        return found

    def kinds(self, settings: dict[str, t.Any], **more: t.Any) -> dict[str, int]:
        return {kind: number for kind, number in self.ask(settings, **more).by_kind.items() if number}


def as_kernel_writes(text: str) -> str:
    host, _colon, port = text.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    address = socket.inet_pton(family, host.strip("[]"))
    words = (address[start : start + 4] for start in range(0, len(address), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{int(port):04X}"


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> Kernel:
    return Kernel(tmp_path / "proc")


def test_no_files(kernel: Kernel) -> None:
    assert kernel.ask({}) == OpenFiles(dict.fromkeys(KINDS, 0), [])


def test_every_kind_at_once(kernel: Kernel) -> None:
    settings = {
        "listeners": [SERVER, {"type": "http", "port": 9093, "resources": [{"names": ["replication"]}]}],
        "database": {"name": "psycopg2", "args": {"host": "10.0.0.5"}},
        "redis": {"enabled": True},
        "media_store_path": "/media",
    }
    kernel.tcp("0.0.0.0:8008", "0.0.0.0:0", "0A")
    kernel.tcp("[::]:8008", "[::]:0", "0A")
    kernel.tcp("10.0.0.1:8008", "10.0.0.2:40000")
    kernel.tcp("[::ffff:10.0.0.1]:8008", "[::ffff:10.0.0.2]:40001", "08")
    kernel.tcp("10.0.0.1:40000", "9.9.9.9:8448", times=3)
    kernel.tcp("10.0.0.1:40000", "10.0.0.5:5432", times=4)
    kernel.tcp("127.0.0.1:40000", "127.0.0.1:6379", times=5)
    kernel.tcp("127.0.0.1:9093", "127.0.0.1:40000")
    for number, target in enumerate(("/var/log/a.log", "/media/x", "pipe:[5]", "anon_inode:[eventpoll]", "/dev/null")):
        kernel.link(target, f"{100 + number}")
    kernel.link("socket:[1]")
    found = kernel.ask(settings)
    assert found.by_kind == {
        "listening": 2,
        "client": 2,
        "federation": 3,
        "database": 4,
        "replication": 6,
        "log": 1,
        "media": 1,
        "other": 4,
    }
    assert found.remote_hosts == [
        {"address": "127.0.0.1", "connections": 6, "kind": "replication"},
        {"address": "10.0.0.5", "connections": 4, "kind": "database"},
        {"address": "9.9.9.9", "connections": 3, "kind": "federation"},
        {"address": "10.0.0.2", "connections": 2, "kind": "client"},
    ]


def test_the_ten_hosts_with_most_connections(kernel: Kernel) -> None:
    for number in range(19, 8, -1):
        kernel.tcp("10.0.0.1:40000", f"9.9.9.{number}:443", times=2 if number == 19 else 1)
    kernel.tcp("10.0.0.1:40000", "9.9.9.19:443", "08")
    hosts = kernel.ask({}).remote_hosts
    assert [host["address"] for host in hosts] == ["9.9.9.19", *(f"9.9.9.{number}" for number in range(9, 18))]
    assert hosts[0] == {"address": "9.9.9.19", "connections": 3, "kind": "federation"}


def test_the_kind_of_most_connections_of_a_host(kernel: Kernel) -> None:
    kernel.tcp("10.0.0.1:40000", "9.9.9.9:8448", times=2)
    kernel.tcp("10.0.0.1:8008", "9.9.9.9:50000", times=1)
    assert kernel.ask({"listeners": [SERVER]}).remote_hosts[0]["kind"] == "federation"
    kernel.tcp("10.0.0.1:8008", "9.9.9.9:50001", times=2)
    assert kernel.ask({"listeners": [SERVER]}).remote_hosts == [
        {"address": "9.9.9.9", "connections": 5, "kind": "client"}
    ]


def test_a_connection_with_two_descriptors_is_one_connection(kernel: Kernel) -> None:
    kernel.tcp("10.0.0.1:40000", "9.9.9.9:8448", files=2)
    found = kernel.ask({})
    assert found.by_kind["federation"] == 2
    assert found.remote_hosts[0]["connections"] == 1


def test_a_listener_that_is_not_in_the_settings_any_more(kernel: Kernel) -> None:
    kernel.tcp("0.0.0.0:8009", "0.0.0.0:0", "0A")
    kernel.tcp("10.0.0.1:8009", "9.9.9.9:40000")
    assert kernel.kinds({"listeners": [SERVER]}) == {"listening": 1, "other": 1}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/homeserver.db", "database"),
        ("/data/homeserver.db-wal", "database"),
        ("/data/homeserver.db-shm", "database"),
        ("/data/homeserver.db-journal", "database"),
        ("/data/homeserver.db-wal (deleted)", "database"),
        ("/data/homeserver.db2", "other"),
        ("/data/media/local_content/a.log", "media"),
        ("/data/media/url_cache/2026-01-01/x", "media"),
        ("/backup/remote_content/x", "media"),
        ("/data/mediator", "other"),
        ("/var/log/synapse.log", "log"),
        ("/var/log/synapse.log.3", "log"),
        ("/var/log/synapse.log (deleted)", "log"),
        ("/var/log/synapse.log.gz", "other"),
        ("/var/log/synapse.", "other"),
        ("/a\nb\udcff", "other"),
        ("/memfd:x (deleted)", "other"),
        ("(unreachable)/x.log", "other"),
    ],
)
def test_files(kernel: Kernel, path: str, kind: str) -> None:
    kernel.link(path)
    settings = {
        "database": {"name": "sqlite3", "args": {"database": "homeserver.db"}},
        "media_store_path": "media",
        "media_storage_providers": [{"module": "file_system", "config": {"directory": "/backup"}}],
    }
    assert kernel.kinds(settings, working_directory="/data") == {kind: 1}


def test_default_paths(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    kernel.link("/media_store/x")
    kernel.link("/data/homeserver.db")
    kernel.link("/data/media_store/x")
    assert kernel.kinds({"database": {}}, working_directory="/data") == {
        "database": 1,
        "media": 1,
        "other": 1,
    }
    assert kernel.kinds({"database": {}}, working_directory=None) == {"other": 3}


def test_the_old_setting_of_a_sqlite_database(kernel: Kernel) -> None:
    kernel.link("/old.db-wal")
    sqlite, postgresql = ({"name": name, "args": {"database": "/new.db"}} for name in ("sqlite3", "psycopg2"))
    assert kernel.kinds({"database_path": "/old.db"}) == {"database": 1}
    assert kernel.kinds({"database_path": "/old.db", "database": sqlite}) == {"other": 1}
    assert kernel.kinds({"database_path": "/old.db", "database": postgresql}) == {"other": 1}


def test_several_databases(kernel: Kernel) -> None:
    kernel.link("/a.db")
    kernel.link("/b.db")
    several = {name: {"name": "sqlite3", "args": {"database": f"/{name}.db"}} for name in "ab"}
    assert kernel.kinds({"databases": several}) == {"database": 2}


def test_links_in_the_settings(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    kernel.link(str(tmp_path / "real" / "x"))
    assert kernel.kinds({"media_store_path": str(tmp_path / "link")}) == {"media": 1}


@pytest.mark.parametrize("worker", [False, True])
def test_log_files_of_the_log_configuration(kernel: Kernel, tmp_path: pathlib.Path, worker: bool) -> None:
    (tmp_path / "log.yaml").write_text(
        "handlers:\n  file: {class: x, filename: /var/log/main}\n  relative: {filename: logs/other}\n"
        "  console: {class: y}\n  odd: [1]\n  number: {filename: 5}\n"
    )
    for path in ("/var/log/main", "/var/log/main.2026-01-01", "/data/logs/other", "/var/log/mainline"):
        kernel.link(path)
    settings = {"worker_log_config" if worker else "log_config": str(tmp_path / "log.yaml")}
    assert kernel.kinds(settings, worker=worker, working_directory="/data") == {"log": 3, "other": 1}
    assert kernel.kinds(settings, worker=not worker, working_directory="/data") == {"other": 4}


@pytest.mark.parametrize("content", [b"handlers: [", b"\xff", b"", b"[]", b"handlers: 5", None])
def test_a_log_configuration_that_cannot_be_used(kernel: Kernel, tmp_path: pathlib.Path, content: bytes | None) -> None:
    path = tmp_path / "log.yaml"
    if content is not None:
        path.write_bytes(content)
    kernel.link("/var/log/a.log")
    assert kernel.kinds({"log_config": str(path)}) == {"log": 1}


def test_unix_sockets(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        1: UnixSocket(False, "", "/run/systemd/journal/stdout"),
        2: UnixSocket(False, "", "/run/postgresql/.s.PGSQL.5432"),
        3: UnixSocket(True, "/run/main.sock", ""),
        4: UnixSocket(False, "/run/main.sock", ""),
        5: UnixSocket(False, "", ""),
    }
    for pid in ("self", str(PID)):
        (kernel.proc / pid / "ns").mkdir(parents=True)
        (kernel.proc / pid / "ns" / "net").symlink_to("net:[1]")
    monkeypatch.setattr(sockets, "ask_kernel", lambda inodes: {inode: known[inode] for inode in inodes})
    for inode in known:
        kernel.link(f"socket:[{inode}]")
    found = kernel.ask({"listeners": [{**SERVER, "port": None, "path": "/run/main.sock"}]})
    assert {kind: number for kind, number in found.by_kind.items() if number} == {
        "listening": 1,
        "client": 1,
        "database": 1,
        "log": 1,
        "other": 1,
    }
    assert found.remote_hosts == []


def test_the_output_of_a_service_without_diagnostics(kernel: Kernel) -> None:
    with (kernel.net / "unix").open("a") as table:
        table.writelines(f"00000000efc53012: 00000003 00000000 00000000 0001 03 {inode}\n" for inode in (1, 2, 3))
    for name in "123":
        kernel.link(f"socket:[{name}]", name)
    assert kernel.kinds({}) == {"log": 2, "other": 1}


def test_a_file_that_is_closed_in_the_meantime(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.link("/var/log/a.log")
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*listdir(path), "99"])
    found = read_open_files(PID, {}, False, "/", str(kernel.proc))
    assert sum(found.by_kind.values()) == found.by_kind["log"] == 1


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EACCES, PermissionError), (errno.ESRCH, ProcessLookupError), (errno.ENAMETOOLONG, None)],
)
def test_links_that_cannot_be_read(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[OSError] | None
) -> None:
    kernel.link("/x")

    def refuse(path: str, **more: t.Any) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "readlink", refuse)
    with pytest.raises(expected) if expected else contextlib.nullcontext():
        found = read_open_files(PID, {}, False, None, str(kernel.proc))
        assert found.by_kind["other"] == 1


def test_a_process_that_has_ended(kernel: Kernel) -> None:
    with pytest.raises(FileNotFoundError):
        read_open_files(PID + 1, {}, False, None, str(kernel.proc))
    # A process whose parent has not noticed its end has no files, and no network.
    for table in ("tcp", "tcp6", "unix"):
        (kernel.net / table).unlink()
    with pytest.raises(FileNotFoundError):
        read_open_files(PID, {}, False, None, str(kernel.proc))


def test_the_real_process_of_this_test(short_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        postgresql = stack.enter_context(socket.socket(socket.AF_UNIX))
        postgresql.bind(str(short_path / ".s.PGSQL.5432"))
        postgresql.listen()
        port = web.getsockname()[1]
        settings = {"listeners": [{**SERVER, "port": port}], "media_store_path": str(short_path / "media")}
        before = read_open_files(os.getpid(), settings, False, None)
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        stack.enter_context(web.accept()[0])
        client.shutdown(socket.SHUT_WR)
        (short_path / "media").mkdir()
        stack.enter_context((short_path / "media" / "x").open("w"))
        stack.enter_context((short_path / "a.log").open("w")).flush()
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(short_path / ".s.PGSQL.5432"))
        after = read_open_files(os.getpid(), settings, False, None)
        more = {kind: after.by_kind[kind] - before.by_kind[kind] for kind in KINDS}
        # The outgoing end is not federation, because Synapse does not federate with loopback addresses.
        assert {kind: more[kind] for kind in ("listening", "client", "federation", "media", "log")} == {
            "listening": 0,
            "client": 1,
            "federation": 0,
            "media": 1,
            "log": 1,
        }
        # Without diagnostics of Unix sockets, the database cannot be found.
        assert (more["database"], more["other"]) in ((1, 1), (0, 2))


def test_many_files_take_little_time(kernel: Kernel) -> None:
    for number in range(200):
        kernel.tcp("10.0.0.1:8008", f"9.9.{number}.9:40000", files=25)
    begin = time.monotonic()
    assert kernel.kinds({"listeners": [SERVER]}) == {"client": 5000}
    # It takes less than 0.1 seconds on a machine that does nothing else.
    assert time.monotonic() - begin < 2
