# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is examined, and what must be known for that."""

from __future__ import annotations

import datetime
import pathlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.preparation import Declared, Prepared, prepare
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Dns, Page, Web, page

KEY = "/_matrix/key/v2/server"
BASE = "http://127.0.0.1:8008"
SYNAPSE = {f"{BASE}{KEY}": page({"server_name": "example.org", "verify_keys": {}})}
SERVER_FILE = "https://example.org/.well-known/matrix/server"
CLIENT_FILE = "https://example.org/.well-known/matrix/client"


class _Sender(Web):
    """Also notes what is set for the connections."""

    def __init__(self, pages: t.Mapping[str, Page]) -> None:
        super().__init__(pages)
        self.connect_to: dict[str, str] = {}
        self.hosts: dict[Place, str] = {}

    def connect_also(self, more: t.Mapping[str, str]) -> None:
        self.connect_to.update(more)

    def name_host(self, place: Place, host: str) -> None:
        self.hosts[place] = host


def prepared(pages: t.Mapping[str, Page], **declared: t.Any) -> tuple[Prepared, _Sender]:
    values = {
        "base_url": BASE,
        "public_url": None,
        "server_name": None,
        "config_path": (),
        "synapse_python": "python",
        "token": "",
    }
    sender = _Sender(pages)
    return prepare(Declared(**{**values, **declared}), t.cast("t.Any", sender), Dns()), sender


def test_synapse_itself_says_its_name() -> None:
    found, sender = prepared(SYNAPSE)
    subject = found.subject
    assert (subject.server_name, subject.direct) == ("example.org", Place("http", "127.0.0.1", 8008))
    assert found.client == Place("https", "example.org", 443)
    assert [(site.name, site.place.address, site.groups) for site in subject.sites] == [
        ("client", "example.org:443", ("client", "media", "well_known")),
        ("federation", "example.org:8448", ("federation", "key")),
    ]
    assert sender.hosts == {Place("https", "example.org", 8448): "example.org"}
    assert (found.unknown, found.skew_seconds, subject.signer) == ((), None, None)


def test_one_place_is_one_site() -> None:
    found, sender = prepared({**SYNAPSE, SERVER_FILE: page({"m.server": "example.org:443"})})
    assert sender.hosts == {}
    assert [site.groups for site in found.subject.sites] == [("client", "media", "well_known", "federation", "key")]


def test_clients_follow_their_file() -> None:
    file = page({"m.homeserver": {"base_url": "https://m.example.org"}})
    found, _sender = prepared({**SYNAPSE, CLIENT_FILE: file})
    assert found.client == Place("https", "m.example.org", 443)


def test_a_public_url_needs_no_file() -> None:
    _found, sender = prepared(SYNAPSE, public_url="https://m.example.org")
    assert CLIENT_FILE not in sender.asked


def test_without_synapse_itself_the_name_is_needed() -> None:
    with pytest.raises(InvalidInput, match="The server name is not known"):
        prepared({})
    found, _sender = prepared({}, server_name="example.org")
    assert found.subject.direct is None
    assert [unknown.name for unknown in found.unknown] == ["direct"]


@pytest.mark.parametrize("answer", [page(b"<html>"), page({"errcode": "M_UNKNOWN"}, 500), page([1])])
def test_what_is_not_synapse_is_no_reference(answer: Page) -> None:
    with pytest.raises(InvalidInput, match="The server name is not known"):
        prepared({f"{BASE}{KEY}": answer})


def test_another_server_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"is 'example\.org', but server_name is other\.test"):
        prepared(SYNAPSE, server_name="other.test")


def test_the_public_url_says_the_name() -> None:
    public = {f"https://m.example.org{KEY}": page({"server_name": "example.org"})}
    found, _sender = prepared(public, public_url="https://m.example.org")
    assert found.subject.server_name == "example.org"
    assert [unknown.name for unknown in found.unknown] == ["direct"]


def test_a_proxy_at_base_url_is_no_reference() -> None:
    answered = page({"server_name": "example.org"}, 200, (("Server", "nginx"),))
    found, _sender = prepared({f"{BASE}{KEY}": answered}, server_name="example.org")
    assert found.subject.direct is None
    assert "nginx answers" in found.unknown[0].reason


def test_another_listener_serves_other_servers() -> None:
    not_here = page({"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}, 404)
    public = page({"server_name": "example.org"})
    pages = {f"{BASE}{KEY}": not_here, f"https://example.org{KEY}": public}
    found, _sender = prepared(pages, server_name="example.org")
    assert found.subject.is_federating
    assert found.subject.direct is None
    assert [unknown.name for unknown in found.unknown] == ["direct"]


def test_a_server_that_does_not_federate() -> None:
    not_here = page({"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}, 404)
    found, _sender = prepared({f"{BASE}{KEY}": not_here}, server_name="example.org")
    assert [site.name for site in found.subject.sites] == ["client"]
    assert found.subject.is_federating is False
    assert found.subject.direct is not None
    assert [unknown.name for unknown in found.unknown] == ["delegation"]


def test_the_public_url_is_no_reference_for_itself() -> None:
    found, _sender = prepared(SYNAPSE, public_url=BASE)
    assert found.subject.direct is None
    assert "is the public URL itself" in found.unknown[0].reason


def test_the_configuration(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "homeserver.yaml"
    path.write_text(
        "server_name: example.org\npublic_baseurl: https://m.example.org/\nmax_upload_size: 1M\nsigning_key_path: /k\n"
    )
    found, _sender = prepared({}, config_path=[str(path)])
    assert found.client == Place("https", "m.example.org", 443)
    assert found.subject.settings.max_upload_size == 1024**2
    assert found.subject.signer is not None
    with pytest.raises(ConfigurationError, match="does not exist"):
        prepared({}, config_path=[f"{path}.no"])


def test_a_connection_to_a_name_that_does_not_exist() -> None:
    sender = _Sender(SYNAPSE)
    sender.connect_to = {"example.org:443": "no.invalid:443"}
    declared = Declared(BASE, None, None, (), "python", "")
    with pytest.raises(InvalidInput, match=r"^connect_to contains 'no\.invalid:443', but the name no\.invalid has no "):
        prepare(declared, t.cast("t.Any", sender), Dns())


@pytest.mark.parametrize("option", ["public_url", "base_url"])
def test_a_url_that_is_none_is_refused_before_anything_is_asked(option: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{option} "):
        prepared(SYNAPSE, **{option: "example.org"})


@pytest.mark.parametrize("answer", [page(b"<html>"), page([1]), page({"server_name": 5}, 404)])
def test_another_program_at_base_url_is_not_synapse(answer: Page) -> None:
    found, _sender = prepared({f"{BASE}{KEY}": answer}, server_name="example.org")
    assert found.subject.direct is None
    assert [unknown.name for unknown in found.unknown] == ["direct"]
    assert "Synapse itself was not found" in found.unknown[0].reason


def test_an_error_of_synapse_is_a_reference() -> None:
    found, _sender = prepared({f"{BASE}{KEY}": page({"errcode": "M_UNKNOWN"}, 500)}, server_name="example.org")
    assert found.subject.direct == Place("http", "127.0.0.1", 8008)
    assert found.subject.is_federating


@pytest.mark.parametrize(
    ("base", "date", "known"),
    [
        ("http://192.0.2.1:8008", "Sun, 29 Nov 2026 12:00:00 GMT", True),
        ("http://192.0.2.1:8008", "yesterday", False),
        ("http://127.0.0.1:8008", "Sun, 29 Nov 2026 12:00:00 GMT", False),
    ],
)
def test_the_clock_of_another_host(base: str, date: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.timezone.utc).timestamp()
    monkeypatch.setattr(time, "time", lambda: told + 90)
    answer = page({"server_name": "example.org"}, 200, (("Date", date),))
    found, _sender = prepared({f"{base}{KEY}": answer}, base_url=base)
    assert found.skew_seconds == (90 if known else None)


def test_a_public_baseurl_needs_no_file(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "homeserver.yaml"
    path.write_text("server_name: example.org\npublic_baseurl: https://m.example.org/\n")
    found, sender = prepared(SYNAPSE, config_path=[str(path)])
    assert CLIENT_FILE not in sender.asked
    assert (found.client_file, found.client.netloc) == (None, "m.example.org")
    found, sender = prepared(SYNAPSE)
    assert CLIENT_FILE in sender.asked
    assert found.client_file is not None
