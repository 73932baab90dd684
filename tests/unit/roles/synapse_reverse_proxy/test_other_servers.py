# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other files of nginx serve already is found."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import other_servers


def _question(*addresses: str, **values: object) -> dict[str, t.Any]:
    ports = {"https": [443], "http": [80]}
    return {"config_path": "/n/m.conf", "names": ["a.example"], "addresses": addresses, "ports": ports, **values}


def _dump(text: str) -> str:
    own = "# configuration file /n/m.conf:\nserver_name a.example; listen 192.0.2.9:443;\n"
    return f"{own}\n# configuration file /n/web.conf:\n{text}\n"


def test_the_file_that_has_the_name_already_is_named() -> None:
    warnings = 'nginx: [warn] conflicting server name "a.example" on 0.0.0.0:443, ignored\n' + (
        'nginx: [warn] conflicting server name "www.example" on 0.0.0.0:443, ignored\n'
    )
    dump = (
        "# configuration file /n/m.conf:\nserver_name a.example;\n"
        "# configuration file /n/web.conf:\nserver_name b.example\n  A.example;\n"
        "# configuration file /n/none.conf:\n# server_name a.example;\nserver_name a.example.org www.a.example;\n"
    )
    (sentence,) = other_servers.conflicts(_question(), warnings, dump)
    assert sentence.startswith("/n/web.conf already serves a.example on 0.0.0.0:443, and")
    assert other_servers.conflicts(_question(names=["b.example"]), warnings, dump) == []


_WARNING = 'nginx: [warn] conflicting server name "a.example" on 0.0.0.0:443, ignored'


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("# Written by matrix_ops.synapse.\nserver_name a.example;", ["a.example"], "set to absent first."),
        ("server_name a.example;", ["a.example"], "give another name to it or to synapse_reverse_proxy_public_name."),
        ("server_name a.example;", ["m.example", "a.example"], "set synapse_reverse_proxy_well_known to false."),
    ],
)
def test_the_advice_is_for_what_has_the_name(text: str, names: list[str], expected: str) -> None:
    (sentence,) = other_servers.conflicts(_question(names=names), _WARNING, _dump(text))
    assert sentence.startswith("/n/web.conf already serves a.example")
    assert sentence.endswith(expected)


@pytest.mark.parametrize(
    "listens", ["192.0.2.1:443 ssl", "192.0.2.1", "192.0.2.1:80 default_server", "[2001:db8::1]:443 ssl"]
)
def test_a_single_address_would_hide_those_on_all(listens: str) -> None:
    question = _question("0.0.0.0", "::")
    (sentence,) = other_servers.hidden_addresses(question, _dump(f"server {{ listen {listens}; }}"))
    address = listens.split(" ")[0].rpartition("]" if "[" in listens else ":")[0].strip("[") or listens
    assert sentence.startswith(f"/n/web.conf listens on port {80 if ':80' in listens or ':' not in listens else 443}")
    assert sentence.endswith(f'Set synapse_reverse_proxy_listen_addresses to ["0.0.0.0", "::", "{address}"].')


@pytest.mark.parametrize(
    ("listens", "addresses"),
    [
        ("443 ssl", ["0.0.0.0"]),
        ("*:443 ssl", ["0.0.0.0"]),
        ("0.0.0.0:443", ["0.0.0.0"]),
        ("[::]:443", ["0.0.0.0", "::"]),
        ("192.0.2.1:8443", ["0.0.0.0"]),
        ("192.0.2.1:443 quic", ["0.0.0.0"]),
        ("unix:/run/x.sock", ["0.0.0.0"]),
        ("192.0.2.1:443", ["0.0.0.0", "192.0.2.1"]),
        ("192.0.2.1:443", ["192.0.2.2", "::"]),
        ("[2001:db8::1]:443", ["0.0.0.0"]),
        ("443; # listen 192.0.2.1:443", ["0.0.0.0"]),
    ],
)
def test_other_addresses_hide_nothing(listens: str, addresses: list[str]) -> None:
    assert other_servers.hidden_addresses(_question(*addresses), _dump(f"server {{ listen {listens};\n}}")) == []
