# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lines are made of."""

from __future__ import annotations

import json

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.advice.correction import (
    CLIENT,
    PATH_CHANGED,
    SERVER,
    Correction,
    Wanted,
    by_finding,
    size,
    without_port,
)

SCHEME, ADDRESS = "http", "127.0.0.1:8008"


@pytest.mark.parametrize(
    ("public_name", "name"),
    [
        ("matrix.example.org", "matrix.example.org:443"),
        ("matrix.example.org:8448", "matrix.example.org:8448"),
        ("[2001:db8::1]", "[2001:db8::1]:443"),
        ("[2001:db8::1]:8448", "[2001:db8::1]:8448"),
    ],
)
def test_other_servers_get_a_name_with_a_port(public_name: str, name: str) -> None:
    # Without a port they would ask port 8448.
    wanted = Wanted(SCHEME, ADDRESS, "example.org", public_name)
    assert json.loads(wanted.well_known(SERVER)) == {"m.server": name}


def test_clients_get_a_url() -> None:
    wanted = Wanted(SCHEME, ADDRESS, "example.org", "matrix.example.org:8443")
    assert json.loads(wanted.well_known(CLIENT)) == {"m.homeserver": {"base_url": "https://matrix.example.org:8443"}}


@pytest.mark.parametrize(
    ("site", "host", "port", "named"),
    [
        ("", "example.org", 8443, "example.org with port 8443"),
        ("fed.example.org", "fed.example.org", 443, "fed.example.org"),
        ("fed.example.org:8448", "fed.example.org", 8448, "fed.example.org with port 8448"),
        ("[2001:db8::1]", "[2001:db8::1]", 443, "[2001:db8::1]"),
    ],
)
def test_the_site_of_a_finding(site: str, host: str, port: int, named: str) -> None:
    wanted = Wanted(SCHEME, ADDRESS, "example.org", "example.org:8443", site=site)
    assert (wanted.host, wanted.port, wanted.named) == (host, port, named)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("example.org", "example.org"),
        ("example.org:8448", "example.org"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("[2001:db8::1]:8448", "[2001:db8::1]"),
    ],
)
def test_a_name_without_its_port(name: str, host: str) -> None:
    assert without_port(name) == host


@pytest.mark.parametrize(
    ("number", "text"),
    [(50 * 1024 * 1024, "50M"), (1024 * 1024, "1M"), (1024 * 1024 + 1, "1048577"), (1000, "1000"), (0, "0")],
)
def test_a_size_is_exact(number: int, text: str) -> None:
    assert size(number) == text


def test_a_common_correction_and_one_of_a_finding() -> None:
    common, own, other = (Correction(place, "", "x") for place in ("Here.", "There.", "Elsewhere."))
    for given in (
        {"path_changed": common, "path_merged": own, "body_limit": other},
        {"body_limit": other, "path_merged": own, "path_changed": common},
    ):
        found = by_finding(given)
        assert set(found) == {*PATH_CHANGED, "body_limit"}
        assert {name for name, one in found.items() if one == common} == {*PATH_CHANGED} - {"path_merged"}
        assert (found["path_merged"], found["body_limit"]) == (own, other)
