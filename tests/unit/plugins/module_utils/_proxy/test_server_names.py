# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How server names are read."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import (
    ServerName,
    joined,
    parse_server_name,
    read_server_name,
    shown,
)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_literal"),
    [
        ("example.org", "example.org", None, False),
        ("Example.ORG:8448", "example.org", 8448, False),
        ("localhost", "localhost", None, False),
        ("192.0.2.1", "192.0.2.1", None, True),
        ("192.0.2.1:1", "192.0.2.1", 1, True),
        ("[2001:DB8::1]", "2001:db8::1", None, True),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535, True),
        # Not an address, so it is a name.
        ("1.2.3", "1.2.3", None, False),
        ("xn--mller-kva.example", "xn--mller-kva.example", None, False),
    ],
)
def test_a_server_name(text: str, host: str, port: int | None, is_literal: bool) -> None:
    assert parse_server_name(text) == ServerName(text, host, port, is_literal)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("https://example.org", "it contains https://: remove that"),
        ("example.org/", "it contains a path"),
        ("example.org:443/_matrix", "it contains a path"),
        ("example.org?", "it contains a path"),
        ("exa mple.org", "white space or a control character"),
        ("example.org\n", "white space or a control character"),
        ("2001:db8::1", "an IPv6 address needs brackets: [2001:db8::1]"),
        ("[2001:db8::1", "an IPv6 address needs brackets: [2001:db8::1]"),
        ("[192.0.2.1]", "'192.0.2.1' is not an IPv6 address"),
        ("[::1%eth0]", "is not an IPv6 address"),
        ("example.org.", "'example.org.' is not a host name"),
        ("a..b", "is not a host name"),
        ("a_b.example", "is not a host name"),
        (f"{'a' * 64}.example", "is not a host name"),
        (".".join(["a" * 60] * 5), "it is longer than 255 characters"),
        ("example.org:", "'' is not a port"),
        ("example.org:0", "'0' is not a port"),
        ("example.org:65536", "'65536' is not a port"),
        ("example.org:+1", "'+1' is not a port"),
        ("[::1]x", "an IPv6 address needs brackets|is not a host name"),
        ("müller.example", "here xn--mller-kva.example"),
        ("example.org:٤٤٣", "characters that are not ASCII"),
        ("\ud800.example", "characters that are not ASCII"),
    ],
)
def test_what_is_not_a_server_name(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_server_name(text)
    assert caught.value.message.endswith(".")
    assert " is not a Matrix server name, because " in caught.value.message
    assert any(part in caught.value.message for part in reason.split("|"))
    assert caught.value.message.isprintable()


def test_a_reason_is_a_piece_of_a_sentence() -> None:
    with pytest.raises(ValueError, match="^it is empty$"):
        read_server_name("")


def test_addresses_and_values_in_sentences() -> None:
    assert (joined("::1", 1), joined("a.example", 2)) == ("[::1]:1", "a.example:2")
    assert shown("a\n'") == '"a\\n\'"'
    assert len(shown("x" * 1000)) < 110
