# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import certificates
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.certificates import (
    check_certificate,
    check_certificates,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import NotConnected
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Finding, Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.presented_certificate import Presented
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.made_certificates import (
    Issued,
    Workshop,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.raw_server import (
    RawServer,
    answer,
    fixed,
)

NAME = "matrix.example.org"
GROUPS = ("federation", "key")


class Tried(t.NamedTuple):
    certificate: dict[str, t.Any]
    findings: dict[str, Finding]
    sent: int


@pytest.fixture
def workshop(tmp_path: pathlib.Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def authority(workshop: Workshop) -> Issued:
    return workshop.authority("Authority")


def tried(served: Issued, verify: bool | str, name: str = NAME) -> Tried:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RawServer(fixed(answer(200)), served.both))
        sender = stack.enter_context(Sender(verify, 5, {f"{name}:443": f"127.0.0.1:{server.port}"}))
        site = Site("federation", Place("https", name, 443), GROUPS)
        listed, found = check_certificates(Subject("example.org", (site,), sender))
        assert not found.unknown
        assert all(one.site == "federation" and one.groups == GROUPS for one in found.findings)
        requests = {one.evidence["request"] for one in found.findings}
        assert requests <= {f"TLS handshake with {name}:443 for the name {name}"}
        assert not server.heads
        return Tried(listed[0], {one.name: one for one in found.findings}, sender.sent)


def test_a_certificate_that_is_right(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf(f"DNS:a.example,DNS:{NAME},IP:127.0.0.1,IP:::1", authority), authority.certificate)
    assert (found.findings, found.sent) == ({}, 1)
    after = found.certificate.pop("not_after_ts")
    assert abs(after / 1000 - time.time() - 90 * 86_400) < 120
    assert found.certificate.pop("not_after") == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(after / 1000))
    assert found.certificate == {
        "site": "federation",
        "address": f"{NAME}:443",
        "name": NAME,
        "subject": "CN=server.invalid",
        "issuer": "CN=Authority",
        "names": ["a.example", NAME, "127.0.0.1", "::1"],
        "days_left": 89,
    }


def test_a_certificate_for_other_names(workshop: Workshop, authority: Issued) -> None:
    served = workshop.leaf("DNS:example.org,DNS:*.matrix.example.org,DNS:*.org", authority)
    found = tried(served, authority.certificate)
    assert list(found.findings) == ["certificate_wrong_name"]
    finding = found.findings["certificate_wrong_name"]
    assert finding.what == (
        "The certificate of matrix.example.org:443 is for example.org, *.matrix.example.org, *.org, but it must be for"
        " matrix.example.org."
    )
    assert finding.severity == "error"
    assert "Hostname mismatch" in finding.evidence["answer"]
    assert found.certificate["names"][0] == "example.org"
    assert found.certificate["days_left"] == 89


def test_many_names_are_not_all_listed(workshop: Workshop, authority: Issued) -> None:
    served = workshop.leaf(",".join(f"DNS:{number}.example" for number in range(9)), authority)
    what = tried(served, authority.certificate).findings["certificate_wrong_name"].what
    assert "0.example, 1.example, 2.example, 3.example, 4.example and 4 others, but" in what


def test_a_name_that_is_only_the_common_name(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf("DNS:a.example", authority), authority.certificate, "server.invalid")
    assert list(found.findings) == ["certificate_wrong_name"]


def test_a_certificate_that_has_expired(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf(f"DNS:{NAME}", authority, days=-1), authority.certificate)
    assert list(found.findings) == ["certificate_expired"]
    finding = found.findings["certificate_expired"]
    assert finding.what.startswith(
        f"The certificate of {NAME}:443 has expired on {found.certificate['not_after']}: renew it"
    )
    assert "certificate has expired" in finding.evidence["answer"]
    assert found.certificate["days_left"] == -2
    assert (finding.severity, found.sent) == ("error", 2)


def test_a_certificate_that_expires_soon(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf(f"DNS:{NAME}", authority, days=14), authority.certificate)
    assert {one.name: one.severity for one in found.findings.values()} == {"certificate_expires_soon": "warning"}
    assert f"expires on {found.certificate['not_after']}" in found.findings["certificate_expires_soon"].what
    assert not tried(workshop.leaf(f"DNS:{NAME}", authority, days=15), authority.certificate).findings


def test_a_certificate_that_is_self_signed(workshop: Workshop, authority: Issued) -> None:
    served = workshop.leaf(f"DNS:{NAME}")
    found = tried(served, authority.certificate)
    assert list(found.findings) == ["certificate_not_trusted"]
    finding = found.findings["certificate_not_trusted"]
    assert "is not trusted: it is self-signed, so use" in finding.what
    assert found.certificate["names"] == [NAME]
    assert (finding.severity, found.sent) == ("error", 4)
    assert not tried(served, served.certificate).findings


def test_an_intermediate_certificate_that_is_missing(workshop: Workshop, authority: Issued) -> None:
    between = workshop.authority("Between", authority)
    served = workshop.leaf(f"DNS:{NAME}", between)
    found = tried(served, authority.certificate)
    assert list(found.findings) == ["certificate_not_trusted"]
    what = found.findings["certificate_not_trusted"].what
    assert (
        "it was issued by CN=Between, which is not known here: if that is a public authority, an intermediate" in what
    )
    assert "fullchain.pem, not cert.pem" in what
    assert found.certificate["issuer"] == "CN=Between"
    assert not tried(workshop.leaf(f"DNS:{NAME}", between, chain=(between,)), authority.certificate).findings


def test_an_intermediate_certificate_of_a_public_authority_that_is_missing(
    workshop: Workshop, authority: Issued
) -> None:
    served = workshop.leaf(f"DNS:{NAME}", workshop.authority("Between", authority), issuer_url="http://a.example/a.der")
    what = tried(served, authority.certificate).findings["certificate_not_trusted"].what
    assert (
        "it was issued by CN=Between, which is not known here, because an intermediate certificate is missing" in what
    )


def test_an_authority_that_is_private(workshop: Workshop, authority: Issued) -> None:
    other = workshop.authority("Other")
    found = tried(workshop.leaf(f"DNS:{NAME}", other, chain=(other,)), authority.certificate)
    what = found.findings["certificate_not_trusted"].what
    assert "it was issued by a private authority" in what


def test_a_chain_without_its_end(workshop: Workshop, authority: Issued) -> None:
    between = workshop.authority("Between", workshop.authority("Other"))
    found = tried(workshop.leaf(f"DNS:{NAME}", between, chain=(between,)), authority.certificate)
    what = found.findings["certificate_not_trusted"].what
    # How many certificates were sent is known since Python 3.13.
    knows = hasattr(ssl.SSLSocket, "get_unverified_chain")
    assert ("an intermediate certificate is missing" in what) is not knows


def test_everything_that_is_wrong_is_reported(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf("DNS:a.example", days=-1), authority.certificate)
    assert list(found.findings) == ["certificate_wrong_name", "certificate_expired", "certificate_not_trusted"]


def test_another_certificate_of_the_chain_has_expired() -> None:
    site = Site("client", Place("https", NAME, 443), ("client",))
    certificate = Presented(names=(NAME,), not_before=0, not_after=int(time.time()) + 10**7)
    refusal = NotConnected("certificate", "a:1 was not accepted: certificate has expired", 10)
    (finding,) = certificates._judge(site, certificate, refusal, None, "error")
    assert (finding.name, finding.what) == (
        "certificate_not_trusted",
        f"The certificate of {NAME}:443 is not trusted: certificate has expired.",
    )


def test_a_certificate_that_is_not_valid_yet() -> None:
    site = Site("client", Place("https", NAME, 443), ("client",))
    now = int(time.time())
    certificate = Presented(names=(NAME,), not_before=now + 1000, not_after=now + 10**7)
    refusal = NotConnected("certificate", "a:1 was not accepted: certificate is not yet valid", 9)
    (finding,) = certificates._judge(site, certificate, refusal, None, "error")
    assert finding.name == "certificate_expired" and "is not valid before" in finding.what


def test_without_verification_the_chain_is_not_judged(workshop: Workshop) -> None:
    found = tried(workshop.leaf("DNS:a.example", days=-1), False)
    assert {name: one.severity for name, one in found.findings.items()} == {
        # Other servers verify it in any case.
        "certificate_wrong_name": "error",
        "certificate_expired": "error",
    }
    assert found.findings["certificate_expired"].evidence["answer"].startswith("a certificate for a.example, valid")
    assert found.certificate["names"] == ["a.example"]
    assert not tried(workshop.leaf(f"DNS:{NAME}"), False).findings


def test_places_without_tls_and_places_that_are_closed() -> None:
    with RawServer(fixed(answer(200))) as server, Sender(True, 0.3) as sender:
        http = Site("client", server.place, ("client",))
        closed = Site("client", Place("https", "127.0.0.1", 1), ("client",))
        assert check_certificates(Subject("a.example", (http, closed), sender)) == ([], Found())
        assert server.connections == 0


def test_a_place_that_was_not_asked() -> None:
    site = Site("client", Place("https", "127.0.0.1", 1), ("client",))
    with Sender(True, 0.3, most_requests=0) as sender:
        returned, found = check_certificates(Subject("a.example", (site,), sender))
    assert (returned, found.findings) == ([], ())
    (unknown,) = found.unknown
    assert unknown.name == "certificates"
    assert unknown.reason == "The certificate of 127.0.0.1:1 was not read: the limit of 0 requests was reached."


def test_a_server_that_does_not_use_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection = listener.accept()[0]
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        place = Place("https", "127.0.0.1", listener.getsockname()[1])
        with Sender(True, 5) as sender:
            checked = check_certificate(sender, Site("federation", place, GROUPS))
    (finding,) = checked.found.findings
    assert checked.certificate == {}
    assert finding.name == "tls_failed"
    assert finding.what.startswith(f"Other servers cannot use {place.url}: {place.address} does not use TLS; check")


class Stub:
    def send(self, place: Place, request: Request, timeout: float | None = None) -> Answer | NoAnswer:
        return NoAnswer(place, request, "", "refused", "no")


def test_what_is_not_a_sender_is_not_asked() -> None:
    subject = Subject("a.example", (Site("client", Place("https", NAME, 443), ("client",)),), Stub())
    assert check_certificates(subject) == ([], Found())


def test_names_with_control_characters_are_only_text(workshop: Workshop, authority: Issued) -> None:
    found = tried(workshop.leaf("DNS:a\x1b[31mb.example", authority), authority.certificate)
    assert "\x1b" not in found.findings["certificate_wrong_name"].what
    assert "\x1b" not in str(found.certificate["names"])


def test_without_verification_only_clients_may_accept_another_name(workshop: Workshop) -> None:
    served = workshop.leaf("DNS:a.example")
    place = Place("https", NAME, 443)
    with RawServer(fixed(answer(200)), served.both) as server, Sender(False, 5) as sender:
        sender.connect_also({place.address: server.place.address})
        for groups, severity in ((("client", "media"), "warning"), (("client", "key"), "error")):
            (finding,) = check_certificate(sender, Site("client", place, groups)).found.findings
            assert (finding.name, finding.severity) == ("certificate_wrong_name", severity)


def test_a_server_that_only_offers_an_old_version(workshop: Workshop) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(workshop.leaf(f"DNS:{NAME}").both)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(fixed(answer(200)), context=context) as server, Sender(True, 5) as sender:
        (finding,) = check_certificate(sender, Site("federation", server.place, GROUPS)).found.findings
        assert sender.sent == 2
    assert finding.name == "tls_failed"
    assert "there is no common version of TLS, of which this host needs 1.2 or newer" in finding.what
    assert "it offers nothing newer than TLS 1.1, so let the proxy offer TLS 1.2 and 1.3." in finding.what
