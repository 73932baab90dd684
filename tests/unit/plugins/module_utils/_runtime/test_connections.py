# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.connections import Connections, Ranges
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sockets import (
    TcpSocket,
    UnixSocket,
    packed,
)

HOSTILE: list[t.Any] = [None, 5, -1, "text", "a\0b", [], {}, [None], {"a": None}, True, 1e400, float("nan"), ["\0"]]


def address_of(text: str) -> bytes:
    address = packed(text)
    assert address is not None
    return address


def outgoing(settings: dict[str, t.Any], address: str, port: int) -> str:
    connection = TcpSocket(False, address_of("10.9.9.9"), 40000, address_of(address), port)
    return Connections(settings, False, "/").of_tcp(connection, [8008])


def accepted(settings: dict[str, t.Any], port: int, local: str = "10.9.9.9", worker: bool = False) -> str:
    connection = TcpSocket(False, address_of(local), port, address_of("203.0.113.5"), 40000)
    return Connections(settings, worker, "/").of_tcp(connection, [port])


def listener(port: int, *names: str, **more: t.Any) -> dict[str, t.Any]:
    return {"type": "http", "port": port, "resources": [{"names": list(names)}], **more}


def database(**arguments: t.Any) -> dict[str, t.Any]:
    return {"database": {"name": "psycopg2", "args": arguments}}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["client"], "client"),
        (["federation", "client"], "client"),
        (["federation"], "federation"),
        (["federation", "media"], "federation"),
        (["keys"], "federation"),
        (["openid"], "federation"),
        (["replication"], "replication"),
        (["replication", "metrics"], "replication"),
        (["media"], "client"),
        (["metrics"], "other"),
        (["health"], "other"),
        ([], "other"),
    ],
)
def test_what_a_listener_is_for(names: list[str], kind: str) -> None:
    assert accepted({"listeners": [listener(8008, *names)]}, 8008) == kind


def test_the_listeners_of_a_worker() -> None:
    settings = {"listeners": [listener(8008, "client")], "worker_listeners": [listener(8083, "federation")]}
    assert accepted(settings, 8083, worker=True) == "federation"
    assert accepted(settings, 8008, worker=True) == "other"
    assert accepted(settings, 8083) == "other"


def test_a_listener_for_metrics_or_for_the_manhole() -> None:
    settings = {"listeners": [{"type": "metrics", "port": 9000}, {"type": "manhole", "port": 9001}]}
    assert [accepted(settings, port) for port in (9000, 9001)] == ["other", "other"]


def test_listeners_that_share_a_port_have_different_addresses() -> None:
    settings = {
        "listeners": [
            listener(8008, "client"),
            listener(8008, "replication", bind_addresses=["10.0.0.1", "::1"]),
            listener(8008, "federation", bind_address="10.0.0.2"),
        ]
    }
    assert accepted(settings, 8008, "10.0.0.1") == accepted(settings, 8008, "::1") == "replication"
    assert accepted(settings, 8008, "10.0.0.2") == "federation"
    assert accepted(settings, 8008, "10.0.0.3") == "client"


@pytest.mark.parametrize("addresses", [["::", "0.0.0.0"], ["10.0.0.1", "0.0.0.0"], [""], ["localhost"], [], None])
def test_a_listener_on_all_addresses(addresses: t.Any) -> None:
    assert accepted({"listeners": [listener(8008, "client", bind_addresses=addresses)]}, 8008) == "client"


def test_a_socket_that_listens() -> None:
    socket = TcpSocket(True, bytes(4), 8008, bytes(4), 0)
    assert Connections({}, False, None).of_tcp(socket, [8008]) == "listening"


@pytest.mark.parametrize(
    ("arguments", "address", "port", "kind"),
    [
        ({"host": "10.0.0.5"}, "10.0.0.5", 5432, "database"),
        ({"host": "10.0.0.5"}, "10.0.0.6", 5432, "other"),
        ({"host": "10.0.0.5"}, "10.0.0.5", 5433, "other"),
        ({"host": "::1", "port": "5433"}, "::1", 5433, "database"),
        ({"host": "localhost", "port": 5433}, "127.0.0.1", 5433, "database"),
        ({"host": "localhost", "port": 5433}, "::1", 5433, "database"),
        ({"host": "localhost", "port": 5433}, "9.9.9.9", 5433, "federation"),
        ({"host": "db.example.com"}, "9.9.9.9", 5432, "database"),
        ({"host": "db.example.com"}, "10.0.0.5", 5432, "database"),
        ({"host": "db.example.com", "port": 443}, "9.9.9.9", 443, "federation"),
        ({"host": "db.example.com", "hostaddr": "9.9.9.9"}, "9.9.9.9", 5432, "database"),
        ({"host": "db.example.com", "hostaddr": "9.9.9.9"}, "9.9.9.8", 5432, "federation"),
        ({"host": "10.0.0.5, 10.0.0.6", "port": "1,2"}, "10.0.0.6", 2, "database"),
        ({"host": "10.0.0.5,10.0.0.6", "port": "1"}, "10.0.0.6", 1, "database"),
        ({"host": "10.0.0.5,10.0.0.6"}, "10.0.0.6", 5432, "database"),
        ({}, "127.0.0.1", 5432, "database"),
        ({"host": "/run/postgresql"}, "127.0.0.1", 5432, "other"),
        ({"host": "@name"}, "127.0.0.1", 5432, "other"),
    ],
)
def test_a_database(arguments: dict[str, t.Any], address: str, port: int, kind: str) -> None:
    assert outgoing(database(**arguments), address, port) == kind
    several = {"databases": {"main": database()["database"], "state": database(**arguments)["database"]}}
    if arguments:
        del several["databases"]["main"]
    assert outgoing(several, address, port) == kind


def test_sqlite_has_no_connections() -> None:
    settings = {"database": {"name": "sqlite3", "args": {"database": "/x", "host": "10.0.0.5"}}}
    assert outgoing(settings, "10.0.0.5", 5432) == "other"


@pytest.mark.parametrize(
    ("redis", "address", "port", "kind"),
    [
        ({"enabled": True}, "127.0.0.1", 6379, "replication"),
        ({"enabled": True, "host": "10.0.0.7", "port": 6380}, "10.0.0.7", 6380, "replication"),
        ({"enabled": True, "host": "redis"}, "10.0.0.7", 6379, "replication"),
        ({"enabled": False}, "127.0.0.1", 6379, "other"),
        ({"enabled": True, "path": "/run/redis.sock"}, "127.0.0.1", 6379, "other"),
    ],
)
def test_redis(redis: dict[str, t.Any], address: str, port: int, kind: str) -> None:
    assert outgoing({"redis": redis}, address, port) == kind


def test_other_processes_of_this_synapse() -> None:
    settings = {"instance_map": {"main": {"host": "localhost", "port": 9093}, "w": {"host": "10.0.0.8", "port": 9094}}}
    assert outgoing(settings, "127.0.0.1", 9093) == outgoing(settings, "10.0.0.8", 9094) == "replication"
    assert outgoing(settings, "127.0.0.1", 9094) == "other"


@pytest.mark.parametrize(
    ("settings", "address", "port", "kind"),
    [
        ({}, "9.9.9.9", 8448, "federation"),
        ({}, "9.9.9.9", 443, "federation"),
        ({}, "2a00::1", 12345, "federation"),
        ({}, "10.1.2.3", 8448, "other"),
        ({}, "127.0.0.1", 8448, "other"),
        ({}, "fd00::1", 8448, "other"),
        ({"ip_range_blacklist": []}, "127.0.0.1", 18448, "federation"),
        ({"ip_range_blacklist": None}, "127.0.0.1", 18448, "federation"),
        ({"ip_range_whitelist": ["10.1.0.0/16"]}, "10.1.2.3", 8448, "federation"),
        ({"ip_range_whitelist": ["10.1.0.0/16"]}, "10.2.2.3", 8448, "other"),
        ({"federation_ip_range_blacklist": ["9.0.0.0/8"]}, "9.9.9.9", 8448, "other"),
        ({"federation_ip_range_blacklist": [], "ip_range_blacklist": ["9.0.0.0/8"]}, "9.9.9.9", 8448, "federation"),
        ({"http_proxy": "http://user:secret@10.0.0.9:3128"}, "10.0.0.9", 3128, "federation"),
        ({"https_proxy": "10.0.0.9:3128"}, "10.0.0.9", 3128, "federation"),
        ({"https_proxy": "http://[::1"}, "10.0.0.9", 3128, "other"),
        ({"email": {"smtp_host": "9.9.9.9"}}, "9.9.9.9", 25, "other"),
        ({"email": {"smtp_host": "mail", "force_tls": True}}, "9.9.9.9", 465, "other"),
        ({"email": {"smtp_host": "mail", "smtp_port": 587}}, "9.9.9.9", 587, "other"),
    ],
)
def test_other_servers_and_services(settings: dict[str, t.Any], address: str, port: int, kind: str) -> None:
    assert outgoing(settings, address, port) == kind


@pytest.mark.parametrize(("enabled", "kind"), [(True, "other"), (False, "federation")])
def test_the_authentication_service(enabled: bool, kind: str) -> None:
    login = {"enabled": enabled, "endpoint": "https://9.9.9.9/"}
    assert outgoing({"matrix_authentication_service": login}, "9.9.9.9", 443) == kind


def test_a_name_at_a_port_of_federation_takes_no_connections_from_it() -> None:
    login = {"enabled": True, "endpoint": "https://login.example.com/"}
    assert outgoing({"matrix_authentication_service": login}, "9.9.9.9", 443) == "federation"


@pytest.mark.parametrize(
    ("socket", "kind"),
    [
        (UnixSocket(True, "/run/synapse/main.sock", ""), "listening"),
        (UnixSocket(False, "/run/synapse/main.sock", ""), "client"),
        (UnixSocket(False, "/run/synapse/replication.sock", ""), "replication"),
        (UnixSocket(False, "/run/synapse/unknown.sock", ""), "other"),
        (UnixSocket(False, "", "/run/redis/redis.sock"), "replication"),
        (UnixSocket(False, "", "/run/synapse/worker.sock"), "replication"),
        (UnixSocket(False, "", "/var/run/postgresql/.s.PGSQL.5432"), "database"),
        (UnixSocket(False, "", "@/db/.s.PGSQL.6432"), "database"),
        (UnixSocket(False, "", "/run/systemd/journal/stdout"), "log"),
        (UnixSocket(False, "", "/run/systemd/journal.matrix/stdout"), "log"),
        (UnixSocket(False, "", "/dev/log"), "log"),
        (UnixSocket(False, "", "/run/systemd/notify"), "other"),
        (UnixSocket(False, "", "a\nb\udcff"), "other"),
        (UnixSocket(False, "", ""), "other"),
    ],
)
def test_unix_sockets(socket: UnixSocket, kind: str) -> None:
    settings = {
        "listeners": [
            {"type": "http", "path": "synapse/main.sock", "resources": [{"names": ["client", "federation"]}]},
            {"type": "http", "path": "/run/synapse/replication.sock", "resources": [{"names": ["replication"]}]},
        ],
        "redis": {"enabled": True, "path": "/run/redis/redis.sock"},
        "instance_map": {"w": {"path": "/run/synapse/worker.sock"}},
    }
    assert Connections(settings, False, "/run").of_unix(socket) == kind


def test_a_link_in_the_path_of_a_socket(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to("run")
    settings = {"redis": {"enabled": True, "path": str(tmp_path / "var" / "redis.sock")}}
    socket = UnixSocket(False, "", str(tmp_path / "run" / "redis.sock"))
    assert Connections(settings, False, None).of_unix(socket) == "replication"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "key",
    [
        "listeners",
        "database",
        "databases",
        "redis",
        "instance_map",
        "email",
        "matrix_authentication_service",
        "https_proxy",
        "ip_range_blacklist",
        "federation_ip_range_blacklist",
    ],
)
def test_settings_of_a_wrong_type(key: str, value: t.Any) -> None:
    assert outgoing({key: value}, "9.9.9.9", 8448) == "federation"
    assert outgoing({key: {"enabled": True, **dict.fromkeys(("host", "port", "path"), value)}}, "9.9.9.9", 8448)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["port", "path", "resources", "bind_addresses", "bind_address", "type"])
def test_listeners_of_a_wrong_type(key: str, value: t.Any) -> None:
    settings = {"listeners": [{**listener(8008, "client"), key: value}, listener(8009, "federation")]}
    assert accepted(settings, 8009) == "federation"
    assert accepted({"listeners": [{"type": "http", "port": 8008, "resources": [{"names": value}]}]}, 8008) == "other"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["host", "hostaddr", "port"])
def test_arguments_of_a_wrong_type(key: str, value: t.Any) -> None:
    assert outgoing(database(**{"host": "10.0.0.5", key: value}), "9.9.9.9", 8448) == "federation"


def test_no_name_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *given, **more: pytest.fail("this can take seconds"))
    assert outgoing(database(host="db.example.com"), "9.9.9.9", 5432) == "database"


def test_ranges() -> None:
    ranges = Ranges(["10.0.0.0/8", "10.1.0.0/16", "9.9.9.9", "11.0.0.0/8", "fd00::/8", "10.0.0.1/24", "x", None, 5.5])
    inside = ["10.0.0.0", "10.255.255.255", "9.9.9.9", "11.0.0.0", "11.255.255.255", "fd00::1"]
    outside = ["9.9.9.8", "9.9.9.10", "12.0.0.0", "0.0.0.0", "255.255.255.255", "fc00::1", "fe00::1"]
    assert [text for text in inside + outside if address_of(text) in ranges] == inside


def test_relative_paths_need_no_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"listeners": [{**listener(1, "client"), "port": None, "path": "main.sock"}]}
    assert Connections(settings, False, None).of_unix(UnixSocket(False, "main.sock", "")) == "client"
    assert os.listdir(tmp_path) == []
