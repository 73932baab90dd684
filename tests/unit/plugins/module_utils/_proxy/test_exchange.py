# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, Request


def answer(body: bytes) -> Answer:
    place = Place("https", "example.org", 443)
    return Answer(place, Request("/"), "tag", 404, (), body, 0.1, "HTTP/1.1", "192.0.2.1:443", "192.0.2.2")


@pytest.mark.parametrize(
    ("place", "netloc", "address"),
    [
        (Place("https", "example.org", 443), "example.org", "example.org:443"),
        (Place("http", "example.org", 443), "example.org:443", "example.org:443"),
        (Place("http", "::1", 80), "[::1]", "[::1]:80"),
        (Place("https", "::1", 8448), "[::1]:8448", "[::1]:8448"),
    ],
)
def test_a_place_as_text(place: Place, netloc: str, address: str) -> None:
    assert (place.netloc, place.address, place.url) == (netloc, address, f"{place.scheme}://{netloc}")


@pytest.mark.parametrize("errcode", ["M_NOT_FOUND", "ORG.MATRIX.MSC3848.ALREADY_JOINED", "org.matrix.msc-1"])
def test_an_error_of_matrix(errcode: str) -> None:
    found = answer(json.dumps({"errcode": errcode, "error": "Not found"}).encode())
    assert (found.errcode, found.error, found.is_matrix) == (errcode, "Not found", True)


@pytest.mark.parametrize("errcode", ["M_\x1b[31m", "M_NOT_FOUND\n", "M_" + "X" * 100, "M_NOT FOUND", 5, None, ["M_A"]])
def test_what_is_no_error_of_matrix(errcode: t.Any) -> None:
    assert answer(json.dumps({"errcode": errcode, "error": errcode}).encode()).errcode == ""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"a": 1', b'{"a": ' + b"9" * 5000 + b", }"]
)
def test_what_is_no_json_object(body: bytes) -> None:
    assert (answer(body).json, answer(body).errcode, answer(body).is_matrix) == ({}, "", False)
