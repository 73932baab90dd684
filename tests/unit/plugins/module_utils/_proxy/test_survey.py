# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks find is put together: each cause once, and nothing that only follows from another cause."""

from __future__ import annotations

import functools
import json
import socket
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import survey as survey_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.arrivals import Arrivals, LogWatch
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    INFO,
    WARNING,
    Finding,
    Found,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Declared, prepare
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.survey import GATHER, Surveyed, Wanted, survey
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import RawServer, answer
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.test_preparation import (
    SYNAPSE,
    prepared,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Dns, page

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


CLIENTS, SERVERS = Place("https", "example.org", 443), Place("https", "example.org", 8448)
NOTHING = Found()


def error(name: str, *groups: str, site: str = "client", severity: str = ERROR) -> Finding:
    return Finding(name, f"{name} at {site}.", severity, site, {}, groups)


class Checks:
    """Checks that send nothing. `first`: what the first request to a site finds, by its name; `later`: what CORS finds.

    `asked`: for each check, the sites that it was given, with their groups.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *later: Finding, **first: Found) -> None:
        self.asked: dict[str, list[tuple[Site, ...]]] = {}
        self.later = Found(later)
        self._first = first
        for name in ("check_exposure", "check_cors", "check_long_poll", "check_body_size"):
            monkeypatch.setattr(survey_module, name, functools.partial(self._check, name))
        for name in ("check_delegation", "check_well_known"):
            monkeypatch.setattr(survey_module, name, lambda *_arguments: NOTHING)
        monkeypatch.setattr(survey_module, "check_site", self._first_request)
        monkeypatch.setattr(survey_module, "check_certificates", lambda _subject: ([{"site": "client"}], NOTHING))
        monkeypatch.setattr(survey_module, "check_addresses", self._addresses)

    def _first_request(self, _subject: Subject, site: Site) -> Identity:
        return Identity(self._first.get(site.name, NOTHING), "nginx" if site.name == "federation" else "")

    def _check(self, name: str, subject: Subject, *_others: object) -> Found:
        self.asked.setdefault(name, []).append(subject.sites)
        return self.later if name == "check_cors" else NOTHING

    def _addresses(self, place: Place, _connect_to: object, name: str) -> Found:
        self.asked.setdefault("check_addresses", []).append((Site(name, place, ()),))
        return NOTHING

    def survey(
        self,
        *gather: str,
        most_requests: int = 60,
        certain: bool = True,
        of_records: Found = NOTHING,
        **subject: t.Any,
    ) -> Surveyed:
        found = prepared(SYNAPSE)[0]
        found = found._replace(
            subject=found.subject._replace(**subject),
            delegation=found.delegation._replace(certain=certain, found=of_records),
            unknown=(Unknown("direct", "why", "do"),),
        )
        with Sender(most_requests=most_requests) as sender:
            return survey(found, Wanted(frozenset(gather), 1, None), sender, None)


def names_of(found: Surveyed) -> list[str]:
    return [finding.name for finding in found.findings]


def test_the_most_severe_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    later = [
        error("a", severity=INFO),
        error("b", severity=WARNING),
        error("d"),
        error("c", site="federation"),
        error("c"),
    ]
    found = Checks(monkeypatch, *later).survey("cors")
    assert [f"{one.name} {one.site}" for one in found.findings] == [
        "c client",
        "d client",
        "c federation",
        "b client",
        "a client",
    ]
    assert found.proxy == "nginx"


@pytest.mark.parametrize("part", GATHER)
def test_only_what_is_wanted_is_checked(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Checks(monkeypatch)
    found = checks.survey(part)
    known = {f"check_{part}"} & {"check_exposure", "check_cors", "check_long_poll", "check_body_size"}
    assert checks.asked.keys() == ({"check_addresses"} if part == "delegation" else known)
    assert found.certificates == ([{"site": "client"}] if part == "certificates" else [])
    assert found.is_examined is (part == "paths")


def test_sites_are_checked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Checks(monkeypatch, federation=Found((error("proxy_error", site="federation"),)))
    found = checks.survey("cors", "exposure", "delegation")
    assert [[site.name for site in sites] for sites in checks.asked["check_cors"]] == [["client"]]
    assert [site.place for (site,) in checks.asked["check_exposure"]] == [CLIENTS]
    # Also those behind which is no Synapse.
    assert sorted(site.place.port for (site,) in checks.asked["check_addresses"]) == [443, 8448]
    assert names_of(found) == ["proxy_error"]
    checks = Checks(monkeypatch)
    checks.survey("exposure")
    assert sorted(site.name for (site,) in checks.asked["check_exposure"]) == ["client", "federation"]


@pytest.mark.parametrize(
    ("finding", "left"),
    [
        (error("proxy_error"), []),
        (error("proxy_error", "client"), ["federation", "key"]),
        (error("proxy_error", "key"), ["client", "media", "well_known"]),
        (error("another_server", "key"), []),
        (error("redirected", "client", severity=WARNING), ["federation", "key"]),
        (error("ipv6_unreachable", severity=WARNING), ["client", "media", "well_known", "federation", "key"]),
        (error("path_not_forwarded", "media"), ["client", "well_known", "federation", "key"]),
        (error("path_rewritten", "key"), ["client", "media", "well_known", "federation"]),
        (error("proxy_error", site="federation"), ["client", "media", "well_known", "federation", "key"]),
    ],
)
def test_only_groups_with_synapse_behind_them_are_examined(
    finding: Finding, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = Checks(monkeypatch, client=Found((finding,)))
    site = Site("client", CLIENTS, ("client", "media", "well_known", "federation", "key"))
    checks.survey("cors", sites=(site,))
    [sites] = checks.asked["check_cors"]
    assert [group for one in sites for group in one.groups] == left


def test_files_of_a_site_that_cannot_be_reached_are_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = error("well_known_missing")
    assert names_of(Checks(monkeypatch, missing).survey("cors")) == ["well_known_missing"]
    gone = error("tls_failed")
    assert names_of(Checks(monkeypatch, missing, client=Found((gone,))).survey("cors")) == ["tls_failed"]
    # The site is another one than that of the files.
    site = Site("client", Place("https", "m.example.org", 443), ("client",))
    found = Checks(monkeypatch, missing, client=Found((gone,))).survey("cors", sites=(site,))
    assert names_of(found) == ["tls_failed", "well_known_missing"]


@pytest.mark.parametrize("name", ["unreachable", "name_not_found"])
def test_where_other_servers_connect_must_be_certain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Found((error(name, site="federation"),))
    assert names_of(Checks(monkeypatch, federation=gone).survey("delegation")) == [name]
    for found in (
        Checks(monkeypatch, federation=gone).survey("delegation", certain=False),
        Checks(monkeypatch, federation=gone).survey("cors"),
    ):
        assert names_of(found) == []
        assert [(one.name, one.reason) for one in found.unknown][1:] == [(name, f"{name} at federation.")]
    at_clients = Found((error(name),))
    assert names_of(Checks(monkeypatch, client=at_clients).survey("cors")) == [name]


def test_a_closed_port_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, closed = error("unreachable", site="federation"), error("port_8448_closed", site="federation")
    assert names_of(Checks(monkeypatch, closed, federation=Found((gone,))).survey("cors", "delegation")) == [
        "port_8448_closed"
    ]
    other = error("port_8448_closed")
    found = Checks(monkeypatch, other, federation=Found((gone,))).survey("cors", "delegation")
    assert names_of(found) == ["port_8448_closed", "unreachable"]


def test_groups_of_one_cause_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = error("path_decoded", "key", "media"), error("path_decoded", "media", "federation")
    [finding] = Checks(monkeypatch, first, second).survey("cors").findings
    assert finding.groups == ("key", "media", "federation")
    # Without groups it is about all of them.
    [finding] = Checks(monkeypatch, error("path_decoded"), second).survey("cors").findings
    assert finding.groups == ()
    [finding] = Checks(monkeypatch, first, error("path_decoded")).survey("cors").findings
    assert finding.groups == ("key", "media")


def test_the_limit_of_requests_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    direct = Unknown("direct", "why", "do")
    assert Checks(monkeypatch).survey("cors").unknown == (direct,)
    checks = Checks(monkeypatch, client=Found(unknown=(direct,)))
    assert [one.name for one in checks.survey("cors", most_requests=0).unknown] == ["direct", "requests"]


class Log:
    """A log that only notes what was looked for in it."""

    def __init__(self) -> None:
        self.wanted: list[str] = []

    def read(self, tags: t.Iterable[str], _seconds: float) -> Arrivals:
        self.wanted += tags
        return Arrivals()


@pytest.mark.parametrize("direct", [True, False])
def test_the_log_is_read_after_a_request_that_makes_synapse_write_it(
    direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checks(monkeypatch)
    found, sender = prepared({**SYNAPSE, "https://example.org/x": page()})
    if not direct:
        found = found._replace(subject=found.subject._replace(direct=None))
    log = Log()
    watch = t.cast("LogWatch", log)
    with Sender() as unused:
        survey(found, Wanted(frozenset({"headers"}), 1, None), unused, watch)
    flushing = "/_matrix/federation/v1/event/%24matrix_ops_synapse"
    assert sender.asked[-1] == f"{'http://127.0.0.1:8008' if direct else 'https://example.org'}{flushing}"
    assert "tag" in log.wanted


def test_what_all_parts_find_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Checks(monkeypatch, error("of_cors"), client=Found((error("of_site", severity=WARNING),)))
    of_certificates = Found((error("of_certificate"),))
    monkeypatch.setattr(survey_module, "check_certificates", lambda _subject: ([], of_certificates))
    for name in ("well_known", "delegation"):
        found_there = Found((error(f"of_{name}"),))
        monkeypatch.setattr(survey_module, f"check_{name}", lambda *_arguments, found=found_there: found)
    of_records = Found((error("of_records"),))
    found = checks.survey("cors", "certificates", "delegation", of_records=of_records)
    expected = ["of_certificate", "of_cors", "of_delegation", "of_records", "of_well_known", "of_site"]
    assert names_of(found) == expected
