# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where other servers find a server: each step of the specification, and what is wrong."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import (
    Delegation,
    check_delegation,
    resolve,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import Record
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    RawServer,
    answer,
    fixed,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Dns, Page, Web, page

URL = "https://example.org/.well-known/matrix/server"
NEW, OLD = "_matrix-fed._tcp.", "_matrix._tcp."
SYNAPSE_404 = b"404. Is anything ever truly *well* known?\n"


def web_with(m_server: str) -> Web:
    return Web({URL: page({"m.server": m_server})})


@pytest.mark.parametrize(
    ("name", "method", "place", "tls_name"),
    [
        ("192.0.2.1", "literal", Place("https", "192.0.2.1", 8448), "192.0.2.1"),
        ("192.0.2.1:443", "literal", Place("https", "192.0.2.1", 443), "192.0.2.1"),
        ("[2001:DB8::1]", "literal", Place("https", "2001:db8::1", 8448), "2001:db8::1"),
        ("[2001:db8::1]:1", "literal", Place("https", "2001:db8::1", 1), "2001:db8::1"),
        ("Example.org:8008", "port", Place("https", "example.org", 8008), "example.org"),
    ],
)
def test_a_literal_or_a_port_asks_nothing(name: str, method: str, place: Place, tls_name: str) -> None:
    web, dns = Web(), Dns()
    found = resolve(name, web, dns)
    assert (found.method, found.place, found.tls_name, found.host_header) == (method, place, tls_name, name)
    assert (found.targets, found.connect_to, found.well_known) == ((place.address,), {}, None)
    assert (found.certain, found.server_file, found.found.findings) == (True, None, ())
    assert (web.asked, dns.asked) == ([], [])


@pytest.mark.parametrize(
    ("m_server", "method", "place", "asks_dns"),
    [
        ("192.0.2.1", "well_known_literal", Place("https", "192.0.2.1", 8448), False),
        ("[2001:db8::1]:443", "well_known_literal", Place("https", "2001:db8::1", 443), False),
        ("M.example.org:443", "well_known_port", Place("https", "m.example.org", 443), False),
        ("M.example.org", "well_known_default", Place("https", "m.example.org", 8448), True),
        # A name may delegate to itself; its own file is not read again.
        ("example.org", "well_known_default", Place("https", "example.org", 8448), True),
    ],
)
def test_the_server_file(m_server: str, method: str, place: Place, asks_dns: bool) -> None:
    web, dns = web_with(m_server), Dns()
    found = resolve("Example.org", web, dns)
    assert (found.method, found.place, found.tls_name) == (method, place, place.host)
    assert (found.host_header, found.well_known) == (m_server, {"m.server": m_server})
    assert web.asked == [URL]
    assert dns.asked == ([NEW + place.host, OLD + place.host] if asks_dns else [])


@pytest.mark.parametrize(("service", "suffix"), [(NEW, ""), (OLD, "_deprecated")])
@pytest.mark.parametrize(("m_server", "name"), [("", "example.org"), ("m.example.org", "m.example.org")])
def test_service_records(service: str, suffix: str, m_server: str, name: str) -> None:
    records = [Record(0, 0, "a.example", 8449), Record(1, 0, "b.example", 8450)]
    found = resolve("example.org", web_with(m_server), Dns({service + name: records}))
    assert found.method == ("well_known_" if m_server else "") + "srv" + suffix
    # The certificate and Host are those of the name, and not those of the target.
    assert (found.place, found.tls_name, found.host_header) == (Place("https", name, 8449), name, name)
    assert found.targets == ("a.example:8449", "b.example:8450")
    assert found.connect_to == {f"{name}:8449": "a.example:8449"}
    assert found.found.findings == ()


def test_the_new_record_comes_before_the_deprecated_one() -> None:
    dns = Dns(
        {NEW + "example.org": [Record(0, 0, "a.example", 1)], OLD + "example.org": [Record(0, 0, "b.example", 2)]}
    )
    assert resolve("example.org", Web(), dns).targets == ("a.example:1",)
    assert dns.asked == [NEW + "example.org"]


def test_a_target_with_port_443_leaves_the_web_site_of_the_name_where_it_is() -> None:
    found = resolve("example.org", Web(), Dns({NEW + "example.org": [Record(0, 0, "m.example.org", 443)]}))
    assert found.place == Place("https", "example.org", 8448)
    assert found.connect_to == {"example.org:8448": "m.example.org:443"}


def test_what_the_user_sets_takes_precedence() -> None:
    found = resolve("example.org", Web(), Dns({NEW + "example.org": [Record(0, 0, "m.example.org", 8449)]}))
    assert found.connect_to_with({}) == found.connect_to
    of_target = {"m.example.org:8449": "127.0.0.1:1"}
    assert found.connect_to_with(of_target) == {**of_target, "example.org:8449": "127.0.0.1:1"}
    of_place = {"example.org:8449": "127.0.0.1:2"}
    assert found.connect_to_with(of_place) == of_place


@pytest.mark.parametrize(
    "file",
    [Page(kind="refused"), page(b"", 404), page(b"<html>"), page({}), page({"m.server": "https://m.example.org"})],
)
def test_without_a_usable_file_it_is_the_default(file: Page) -> None:
    dns = Dns()
    found = resolve("Example.org", Web({URL: file}), dns)
    assert (found.method, found.place, found.certain) == ("default", Place("https", "example.org", 8448), True)
    assert (found.tls_name, found.host_header, found.well_known) == ("example.org", "Example.org", None)
    assert found.targets == ("example.org:8448",)
    assert dns.asked == [NEW + "example.org", OLD + "example.org"]


@pytest.mark.parametrize("failing", [NEW, OLD])
def test_a_dns_that_fails_is_never_a_conclusion(failing: str) -> None:
    found = resolve("example.org", Web(), Dns({failing + "example.org": None}))
    assert (found.method, found.place, found.certain) == ("default", Place("https", "example.org", 8448), False)
    [unknown] = found.found.unknown
    assert unknown == (
        "delegation",
        "The DNS servers did not answer. Port 8448 of example.org is assumed.",
        "Check the DNS.",
    )
    web = Web()
    assert check_delegation(found, web).findings == ()
    assert web.asked == []


def test_a_record_that_excludes_the_service() -> None:
    dns = Dns({NEW + "example.org": [Record(0, 0, ".", 0)]})
    found = resolve("example.org", Web(), dns)
    assert (found.method, found.place, found.targets, found.connect_to) == ("srv", None, (), {})
    [finding] = found.found.findings
    assert (finding.name, finding.severity) == ("srv_invalid", "error")
    assert finding.evidence == {"request": "SRV _matrix-fed._tcp.example.org", "answer": "0 0 0 ."}
    assert check_delegation(found, Web()).findings == ()


def test_targets_that_work_with_some_servers_only() -> None:
    records = [Record(0, 0, "192.0.2.1", 8448), Record(1, 0, "b.example", 8448), Record(2, 0, "c.example", 8448)]
    dns = Dns({NEW + "example.org": records}, {"b.example": "c.example"})
    [finding] = resolve("example.org", Web(), dns).found.findings
    assert (finding.name, finding.severity, finding.site) == ("srv_invalid", "warning", "federation")
    assert finding.what == (
        "The SRV record of _matrix-fed._tcp.example.org works in part only: its target 192.0.2.1 is an IP"
        " address, where a host name is required; its target b.example is an alias (CNAME) of c.example, which is not"
        " allowed."
    )


@pytest.mark.parametrize("name", ["", "https://example.org", "::1", "müller.example", "example.org:99999"])
def test_what_is_not_a_server_name(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a Matrix server name"):
        resolve(name, Web(), Dns())


def closed(pages: t.Mapping[str, Page], name: str = "example.org") -> str:
    web = Web(pages)
    delegation = resolve(name, web, Dns())
    [finding] = check_delegation(delegation, web).findings
    assert (finding.name, finding.severity, finding.site) == ("port_8448_closed", "error", "federation")
    assert finding.values == {"server_name": name}
    assert set(finding.evidence) == {"request", "answer"}
    return finding.what


def test_a_closed_port_without_a_file() -> None:
    assert closed({URL: page(b"", 404)}) == (
        f"Other servers connect to example.org:8448, because {URL} does not exist, and there is no SRV record, but"
        f" example.org:8448 refused the connection: open port 8448, or serve {URL} with"
        ' {"m.server": "example.org:443"}, with the name and the port of the proxy, or create the SRV record'
        " _matrix-fed._tcp.example.org."
    )


def test_a_closed_port_although_synapse_answers() -> None:
    what = closed({URL: page(SYNAPSE_404, 404)})
    assert "because serve_server_wellknown is not set in homeserver.yaml (Synapse itself answers at" in what
    assert "or set serve_server_wellknown: true in homeserver.yaml, or" in what


def test_a_closed_port_and_a_file_without_a_port() -> None:
    what = closed({URL: page({"m.server": "m.example.org"})})
    assert f"because the m.server 'm.example.org' in {URL} has no port, and m.example.org has no SRV record" in what
    assert "write the port into the file, such as m.example.org:443, or open port 8448" in what


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (page({"m.server": "https://m.example.org"}), f"because {URL} is not valid, and there is no SRV record"),
        (page(b"<html>"), f"because {URL} is answered with an HTML page, not with JSON, and there is no"),
        (Page(kind="certificate"), f"because {URL} cannot be read (example.org:443 certificate the connection), and"),
    ],
)
def test_a_closed_port_and_a_file_that_cannot_be_used(file: Page, reason: str) -> None:
    assert reason in closed({URL: file})


@pytest.mark.parametrize("kind", ["", "certificate", "unresolved", "tls", "not_asked", "closed"])
def test_a_port_where_something_listens_or_another_mistake(kind: str) -> None:
    web = Web({"https://example.org:8448/_matrix/key/v2/server": Page(b"{}", kind=kind)})
    delegation = resolve("example.org", web, Dns())
    assert check_delegation(delegation, web).findings == ()
    assert web.asked[-1] == "https://example.org:8448/_matrix/key/v2/server"


@pytest.mark.parametrize(
    "delegation",
    [
        resolve("example.org:8448", Web(), Dns()),
        resolve("192.0.2.1", Web(), Dns()),
        resolve("example.org", web_with("m.example.org:8448"), Dns()),
        resolve("example.org", Web(), Dns({NEW + "example.org": [Record(0, 0, "a.example", 8448)]})),
    ],
)
def test_another_way_than_the_default_is_not_asked(delegation: Delegation) -> None:
    web = Web()
    assert check_delegation(delegation, web).findings == ()
    assert web.asked == []


@pytest.mark.parametrize("file", [page(b"", 429), page(b"", 502), Page(kind="not_asked")])
def test_a_file_that_was_not_read_is_never_a_conclusion(file: Page) -> None:
    web = Web({URL: file})
    found = resolve("example.org", web, Dns())
    assert (found.method, found.certain) == ("default", False)
    count = len(web.asked)
    assert check_delegation(found, web) == ((), ())
    assert len(web.asked) == count


def test_a_port_that_accepts_connections_is_open() -> None:
    web = Web({URL: page(b"", 404), "https://example.org:8448/_matrix/key/v2/server": Page(kind="silent")})
    assert check_delegation(resolve("example.org", web, Dns()), web).findings == ()


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True), (False, False)])
def test_targets_that_do_not_accept_connections(first: bool, second: bool) -> None:
    with RawServer(fixed(answer(200))) as server:
        here, closed = f"127.0.0.1:{server.port}", "127.0.0.1:1"
        connect_to = {"a.example:8449": here if first else closed, "b.example:8450": here if second else closed}
        records = [Record(0, 0, "a.example", 8449), Record(1, 0, "b.example", 8450)]
        with Sender(connect_to={**connect_to, "example.org:443": closed}) as sender:
            found = resolve("example.org", sender, Dns({NEW + "example.org": records}))
            assert sender.sent == 1
    # Other servers go on to the second target.
    chosen = "b.example:8450" if second and not first else "a.example:8449"
    assert list(found.connect_to.values()) == [chosen]
    assert found.place is not None and found.place.port == int(chosen[-4:])
    assert found.targets == ("a.example:8449", "b.example:8450")
    whats = [finding.what for finding in found.found.findings]
    if first == second:
        # If none answers, the site cannot be reached, which is another finding.
        assert whats == []
    else:
        dead = "a.example:8449" if second else "b.example:8450"
        assert whats == [
            f"The SRV record of {NEW}example.org works in part only: its target {dead!r} fails (Connection refused)."
        ]
