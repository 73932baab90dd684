# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which URL is that of clients."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.public_url import client_place, place_of

ADVERTISED = {"m.homeserver": {"base_url": "https://m.example.org/"}}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://m.example.org", Place("https", "m.example.org", 443)),
        ("https://M.example.org/", Place("https", "m.example.org", 443)),
        ("http://[::1]:8008", Place("http", "::1", 8008)),
        ("http://127.0.0.1", Place("http", "127.0.0.1", 80)),
        ("http://synapse_app:8008", Place("http", "synapse_app", 8008)),
        ("https://bücher.example", Place("https", "xn--bcher-kva.example", 443)),
    ],
)
def test_a_url_is_a_place(url: str, place: Place) -> None:
    assert place_of(url, "public_url") == place


@pytest.mark.parametrize(
    "url",
    [
        "m.example.org",
        "ftp://m.example.org",
        "https://",
        "https://a:b@c.test",
        "https://m.test/path",
        "https://m.test?a",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_with_the_option(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^public_url "):
        place_of(url, "public_url")


@pytest.mark.parametrize(
    ("public_url", "public_baseurl", "well_known", "host"),
    [
        ("https://one.test", "https://two.test/", ADVERTISED, "one.test"),
        (None, "https://two.test/", ADVERTISED, "two.test"),
        (None, None, ADVERTISED, "m.example.org"),
        (None, None, None, "example.org"),
        (None, None, {}, "example.org"),
        (None, None, {"m.homeserver": "text"}, "example.org"),
        (None, None, {"m.homeserver": {"base_url": 5}}, "example.org"),
        (None, None, {"m.homeserver": {"base_url": "no url"}}, "example.org"),
    ],
)
def test_the_first_that_is_known(
    public_url: str | None, public_baseurl: str | None, well_known: dict[str, t.Any] | None, host: str
) -> None:
    assert client_place(public_url, public_baseurl, well_known, "example.org") == Place("https", host, 443)


def test_a_wrong_public_baseurl_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"^public_baseurl in the configuration "):
        client_place(None, "m.example.org", None, "example.org")


@pytest.mark.parametrize("url", ["https://m.exam$ple.org", "https://a,b"])
def test_what_is_no_name_of_a_host_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"^public_url "):
        place_of(url, "public_url")
