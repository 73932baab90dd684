# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks find is put together: each cause once, and nothing that only follows from another cause."""

from __future__ import annotations

import json
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import LogWatch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Declared, prepare
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import GATHER, Surveyed, Wanted, survey
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import RawServer, answer
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Dns

_KEYS = {"server_name": "example.org", "verify_keys": {"ed25519:a": {"key": "x"}}}


def like_synapse(connection: socket.socket, head: bytes) -> bool:
    """Answer the first requests as Synapse does, and everything else as what it does not know."""
    target = head.split(b" ")[1]
    known: dict[bytes, t.Any] = {b"/_matrix/client/versions": {"versions": ["v1.1"]}, b"/_matrix/key/v2/server": _KEYS}
    content = known.get(target, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"})
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"}
    connection.sendall(answer(200 if target in known else 404, body, **headers))
    return True


def only_for_clients(connection: socket.socket, head: bytes) -> bool:
    """Answer as a proxy that does not forward the paths of other servers."""
    if head.split(b" ")[1].startswith((b"/_matrix/key", b"/_matrix/federation")):
        connection.sendall(answer(404, b"<html>nothing here</html>", Content_Type="text/html"))
        return True
    return like_synapse(connection, head)


def surveyed(
    public: RawServer, synapse: RawServer, *gather: str, watch: LogWatch | None = None
) -> tuple[Surveyed, list[str]]:
    """Examine a server whose site for other servers cannot be reached. Also return the names of the findings."""
    nobody = {f"example.org:{port}": "127.0.0.1:1" for port in (443, 8448)}
    declared = Declared(synapse.place.url, public.place.url, None, (), "python", "")
    with Sender(timeout=5.0, connect_to=nobody) as sender:
        prepared = prepare(declared, sender, Dns())
        found = survey(prepared, Wanted(frozenset(gather), 0, None), sender, watch)
    return found, [f"{finding.site}: {finding.name}" for finding in found.findings]


def test_what_follows_from_another_cause_is_left_out() -> None:
    with RawServer(like_synapse) as synapse, RawServer(like_synapse) as public:
        _found, names = surveyed(public, synapse, "delegation")
    assert names == ["federation: port_8448_closed", "client: well_known_missing"]


def test_without_the_delegation_its_faults_are_unknown() -> None:
    with RawServer(like_synapse) as synapse, RawServer(like_synapse) as public:
        found, names = surveyed(public, synapse, "certificates")
    assert names == []
    assert [unknown.name for unknown in found.unknown] == ["unreachable"]


def test_paths_of_other_servers_are_examined_where_clients_ask() -> None:
    with RawServer(like_synapse) as synapse, RawServer(like_synapse) as public:
        found, _names = surveyed(public, synapse, "paths")
        heads = b"".join(public.heads)
    assert found.is_examined
    assert b"GET /_matrix/federation/v1/" in heads


def test_a_proxy_for_clients_only_is_not_asked_for_other_servers() -> None:
    with RawServer(like_synapse) as synapse, RawServer(only_for_clients) as public:
        found, names = surveyed(public, synapse, "paths")
        heads = b"".join(public.heads)
    assert not found.is_examined
    assert b"GET /_matrix/federation/v1/" not in heads
    assert not [name for name in names if "path_not_forwarded" in name]


def test_a_site_that_redirects_gets_no_further_requests() -> None:
    with RawServer(like_synapse) as synapse, RawServer(like_synapse) as end:

        def redirecting(connection: socket.socket, head: bytes) -> bool:
            location = f"{end.place.url}{head.split(b' ')[1].decode()}"
            connection.sendall(answer(301, Location=location))
            return True

        with RawServer(redirecting) as public:
            _found, names = surveyed(public, synapse, "body_size", "cors", "exposure", "headers", "paths")
            asked = len(public.heads)
    assert names == ["client: redirected"]
    assert asked <= 2


def test_another_server_is_not_asked_for_rooms_of_this_one() -> None:
    def another(connection: socket.socket, head: bytes) -> bool:
        if b"/_matrix/key/" not in head:
            return like_synapse(connection, head)
        body = json.dumps({**_KEYS, "server_name": "other.test"}).encode()
        connection.sendall(answer(200, body, Content_Type="application/json"))
        return True

    delegated = {"example.org:443": "127.0.0.1:1"}
    with RawServer(like_synapse) as synapse, RawServer(another) as public:
        declared = Declared(synapse.place.url, "http://example.org:8448", "example.org", (), "python", "")
        with Sender(timeout=5.0, connect_to={**delegated, "example.org:8448": public.place.address}) as sender:
            prepared = prepare(declared, sender, Dns())
            site = prepared.subject.sites[0]._replace(groups=(*prepared.subject.sites[0].groups, "federation", "key"))
            prepared = prepared._replace(subject=prepared.subject._replace(sites=(site,)))
            found = survey(prepared, Wanted(frozenset({"paths"}), 1, None), sender, None)
        heads = b"".join(public.heads)
    assert "another_server" in [finding.name for finding in found.findings]
    assert b"/directory/room/" not in heads


def test_one_cause_of_several_checks_has_all_groups() -> None:
    def without_workers(connection: socket.socket, head: bytes) -> bool:
        if b"/_matrix/key/" in head:
            return like_synapse(connection, head)
        connection.sendall(answer(502, b"<html>Bad Gateway</html>", Content_Type="text/html"))
        return True

    with RawServer(like_synapse) as synapse, RawServer(without_workers) as public:
        declared = Declared(synapse.place.url, public.place.url, "example.org", (), "python", "")
        with Sender(timeout=5.0, connect_to={"example.org:443": "127.0.0.1:1"}) as sender:
            prepared = prepare(declared, sender, Dns())
            site = prepared.subject.sites[0]._replace(groups=("client", "media", "federation", "key"))
            prepared = prepared._replace(subject=prepared.subject._replace(sites=(site,)))
            found = survey(prepared, Wanted(frozenset({"paths"}), 1, None), sender, None)
    assert [(one.name, one.groups) for one in found.findings] == [("proxy_error", ("client", "media", "federation"))]


@pytest.mark.parametrize("part", GATHER)
def test_each_part_is_asked_alone(part: str) -> None:
    with RawServer(like_synapse) as synapse, RawServer(like_synapse) as public:
        found, _names = surveyed(public, synapse, part)
    assert isinstance(found, Surveyed)


def test_a_proxy_without_synapse_gets_no_further_requests() -> None:
    def failing(connection: socket.socket, _head: bytes) -> bool:
        connection.sendall(answer(502, b"<html>Bad Gateway</html>", Server="nginx"))
        return True

    with RawServer(like_synapse) as synapse, RawServer(failing) as public:
        found, names = surveyed(public, synapse, *GATHER)
        asked = len(public.heads)
    assert names[0] == "client: proxy_error"
    assert asked == 1
    assert found.proxy == "nginx"
    assert found.findings[0].evidence["request"] == f"GET {public.place.url}/_matrix/client/versions"
