# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import body_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.body_size import check_body_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.upload import Opens, Uploaded

MEBIBYTE = 1024 * 1024
PUBLIC, DIRECT = Place("https", "example.org", 443), Place("http", "127.0.0.1", 8008)
TOKEN = b'{"errcode":"M_MISSING_TOKEN","error":"Missing access token"}'
LARGE = b'{"errcode":"M_TOO_LARGE","error":"Request content is too large"}'


def answered(status: int, body: bytes = b"", sent: int = 0) -> Uploaded:
    request = Request("/_matrix/media/v3/upload", "POST")
    return Uploaded(sent, Answer(PUBLIC, request, "tag", status, (), body, 0.1, "HTTP/1.1", "", ""), False)


SYNAPSE = answered(401, TOKEN, 1)
CLOSED = Uploaded(3 * MEBIBYTE, None, True)
SILENT = Uploaded(1, None, False)


class Uploads:
    """Answers uploads one after another, and refuses the connection for those after the last one."""

    def __init__(self, *done: Uploaded) -> None:
        self.asked: list[tuple[Place, int]] = []
        self._done = list(done)

    def upload(self, _opens: Opens, place: Place, size: int) -> Uploaded:
        self.asked.append((place, size))
        if not self._done:
            raise ConnectionRefusedError("it refused the connection")
        return self._done.pop(0)


def check(
    monkeypatch: pytest.MonkeyPatch, uploads: Uploads, size: int | None = 10 * MEBIBYTE, direct: Place | None = None
) -> Found:
    monkeypatch.setattr(body_size, "upload", uploads.upload)
    with Sender() as sender:
        subject = Subject("example.org", (Site("client", PUBLIC, ("client", "media")),), sender, direct)
        return check_body_size(subject, sender, size)


def test_a_refused_header(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(answered(413, b"<html>nginx</html>"), SYNAPSE)
    [finding] = check(monkeypatch, uploads).findings
    assert finding.name == "body_limit"
    assert finding.what == (
        "The limit of the proxy for uploads is below 10 MiB (max_upload_size): it answered 413 before the first byte"
        " was sent."
    )
    assert (finding.severity, finding.site, finding.groups) == ("error", "client", ("media",))
    assert finding.values == {"max_upload_size": 10 * MEBIBYTE}
    assert finding.evidence["answer"] == "413 <html>nginx</html>"
    assert finding.evidence["request"].startswith("POST https://example.org/_matrix/media/v3/upload")
    assert uploads.asked == [(PUBLIC, 10 * MEBIBYTE), (PUBLIC, 1)]


@pytest.mark.parametrize("size", [None, 50 * MEBIBYTE])
def test_everything_is_accepted(size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(answered(401, TOKEN, 50 * MEBIBYTE))
    assert check(monkeypatch, uploads, size) == Found()
    assert uploads.asked == [(PUBLIC, 50 * MEBIBYTE)]


def test_the_default_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = check(monkeypatch, Uploads(answered(413), SYNAPSE), None).findings
    assert "below 50 MiB (the default of max_upload_size)" in finding.what
    [finding] = check(monkeypatch, Uploads(answered(413), SYNAPSE), 1000).findings
    assert "below 1000 bytes (max_upload_size)" in finding.what


@pytest.mark.parametrize("size", [0, -1])
def test_no_uploads(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads()
    assert check(monkeypatch, uploads, size) == Found()
    assert uploads.asked == []


def test_no_site_for_media() -> None:
    with Sender() as sender:
        subject = Subject("example.org", (Site("federation", PUBLIC, ("federation", "key")),), sender)
        assert check_body_size(subject, sender, None) == Found()
        assert sender.sent == 0


@pytest.mark.parametrize(
    ("refused", "how"),
    [
        (CLOSED, "it closed the connection after at most 3145728 bytes."),
        (answered(400, b"Bad", 5), "it answered 400 after at most 5 bytes."),
        (answered(403), "it answered 403 before the first byte was sent."),
        # Caddy 2.6.
        (answered(502, b"", MEBIBYTE), "it answered 502 after at most 1048576 bytes."),
    ],
)
@pytest.mark.parametrize("direct", [None, DIRECT])
def test_another_refusal_if_a_small_upload_gets_through(
    refused: Uploaded, how: str, direct: Place | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(refused, SYNAPSE, answered(401, TOKEN, 10 * MEBIBYTE))
    [finding] = check(monkeypatch, uploads, direct=direct).findings
    assert finding.what.endswith(how)
    assert uploads.asked[1] == (PUBLIC, 1)


# The last one is that of a location that does not forward to Synapse at all.
@pytest.mark.parametrize("refused", [CLOSED, answered(411), answered(413), answered(501), answered(403), answered(302)])
@pytest.mark.parametrize("small", [answered(411), answered(200, b"{}"), SILENT, CLOSED])
def test_a_refusal_of_every_upload(refused: Uploaded, small: Uploaded, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Uploads(refused, small))
    [unknown] = found.unknown
    assert (found.findings, unknown.name) == ((), "body_limit")
    assert "an upload of one byte was" in unknown.reason


def test_the_second_upload_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    [unknown] = check(monkeypatch, Uploads(CLOSED)).unknown
    assert "an upload of one byte failed: it refused the connection" in unknown.reason


@pytest.mark.parametrize("own", [CLOSED, answered(413, LARGE)])
def test_synapse_itself_closes_the_connection(own: Uploaded, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(answered(502), SYNAPSE, own)
    found = check(monkeypatch, uploads, direct=DIRECT)
    [unknown] = found.unknown
    assert found.findings == ()
    assert "Synapse itself refused" in unknown.reason and "Restart Synapse" in unknown.fix
    assert uploads.asked[2] == (DIRECT, 10 * MEBIBYTE)


def test_synapse_itself_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Uploads(answered(413, LARGE, 10 * MEBIBYTE)))
    assert found.findings == ()
    assert "Synapse itself refused" in found.unknown[0].reason
    assert "Restart Synapse" in found.unknown[0].fix
    found = check(monkeypatch, Uploads(answered(413, LARGE)), None)
    assert "Set max_upload_size" in found.unknown[0].fix


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (Uploaded(MEBIBYTE, None, False), "1048576 bytes of an upload of 10 MiB (max_upload_size) could be sent"),
        (Uploaded(10 * MEBIBYTE, None, False), "not answered in time"),
        (answered(401, TOKEN, 0), "answered with 401 M_MISSING_TOKEN before all of it was sent"),
    ],
)
def test_what_is_not_known(done: Uploaded, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Uploads(done))
    assert found.findings == () and words in found.unknown[0].reason


def test_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Uploads())
    assert found.findings == ()
    assert found.unknown[0].reason == "The upload could not begin: it refused the connection."


def test_a_closed_port() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        place = Place("http", "127.0.0.1", listener.getsockname()[1])
    with Sender() as sender:
        subject = Subject("example.org", (Site("client", place, ("client", "media")),), sender)
        [unknown] = check_body_size(subject, sender, None).unknown
    assert "refused the connection" in unknown.reason


@pytest.mark.parametrize(("status", "body"), [(413, b'{"errcode":"M_UNKNOWN"}'), (400, LARGE)])
def test_synapse_itself_refuses_in_another_way(status: int, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check(monkeypatch, Uploads(answered(status, body, 10 * MEBIBYTE)))
    assert found.findings == ()
    assert "Synapse itself refused" in found.unknown[0].reason


@pytest.mark.parametrize(("refused", "asks"), [(CLOSED, True), (answered(500), True), (answered(499), False)])
def test_synapse_itself_is_asked_if_it_may_be_the_cause(
    refused: Uploaded, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(refused, SYNAPSE, CLOSED)
    found = check(monkeypatch, uploads, direct=DIRECT)
    assert ((DIRECT, 10 * MEBIBYTE) in uploads.asked) is asks
    assert len(found.unknown) == int(asks)
