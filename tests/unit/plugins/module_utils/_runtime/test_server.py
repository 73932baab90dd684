# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.server import read_server
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

VERSION, KEYS = "/_synapse/admin/v1/server_version", "/_matrix/key/v2/server"
MISSING = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}


@pytest.fixture
def server() -> t.Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


def test_name_and_version(server: ScriptedServer) -> None:
    server.expect(
        Call("GET", KEYS, {"server_name": "example.org:8448", "verify_keys": {}}, token=None),
        Call("GET", VERSION, {"server_version": "1.163.2"}, token=None),
    )
    assert read_server(Client(server.base_url)) == ({"name": "example.org:8448", "version": "1.163.2"}, [])


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("GET", VERSION, MISSING, 404), "404 M_UNRECOGNIZED"),
        (Call("GET", VERSION, {}), "The answer contains no server_version"),
        (Call("GET", VERSION, {"server_version": 1}), "contains a server_version that is not text"),
        (Call("GET", VERSION, text=b"<html>"), "does not come from Synapse"),
        (Call("GET", VERSION, status=302, headers={"Location": "https://elsewhere/"}), "redirected"),
    ],
)
def test_a_server_without_its_version(server: ScriptedServer, call: Call, reason: str) -> None:
    server.expect(Call("GET", KEYS, {"server_name": "example.org"}), call)
    found, unknown = read_server(Client(server.base_url))
    assert found == {"name": "example.org"}
    assert [(each.name, reason in each.reason) for each in unknown] == [("server.version", True)], unknown
    assert unknown[0].fix.startswith("Set base_url to the URL of the main process")


def test_a_server_without_its_name(server: ScriptedServer) -> None:
    server.expect(Call("GET", KEYS, MISSING, 404), Call("GET", VERSION, {"server_version": "1.163.2"}))
    found, unknown = read_server(Client(server.base_url))
    assert found == {"version": "1.163.2"}
    assert [each.name for each in unknown] == ["server.name"]
    assert unknown[0].fix.startswith("Add the resource keys to the listener")


def test_another_service_is_asked_for_both(server: ScriptedServer) -> None:
    server.expect(Call("GET", KEYS, text=b"<html>"), Call("GET", VERSION, text=b"<html>"))
    found, unknown = read_server(Client(server.base_url))
    assert found == {}
    assert [each.name for each in unknown] == ["server.name", "server.version"]


def test_one_request_if_nothing_listens() -> None:
    with ScriptedServer() as closed:
        base_url = closed.base_url
    found, [unknown] = read_server(Client(base_url))
    assert found == {}
    assert unknown.name == "server"
    assert f"GET {base_url}{KEYS} failed: Connection refused." in unknown.reason
    assert unknown.fix == "Start Synapse, or set base_url to the URL of its main process."


def test_one_request_if_the_server_hangs(server: ScriptedServer) -> None:
    server.expect(Call("GET", KEYS, silent=True))
    found, [unknown] = read_server(Client(server.base_url, timeout=0.2))
    assert (found, unknown.name) == ({}, "server")
    assert "0.2 seconds" in unknown.reason


def test_a_server_that_ends_between_the_requests(server: ScriptedServer) -> None:
    server.expect(Call("GET", KEYS, {"server_name": "example.org"}), Call("GET", VERSION, drop=True))
    found, [unknown] = read_server(Client(server.base_url))
    assert found == {"name": "example.org"}
    assert unknown.name == "server"


def test_a_python_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    found, [unknown] = read_server(Client("http://127.0.0.1:1"))
    assert (found, unknown.name) == ({}, "server")
    assert "requests" in unknown.reason
    assert unknown.fix == "Install requests for the Python of the module."
