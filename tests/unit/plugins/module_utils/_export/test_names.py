# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import pathlib
import re

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of

HOSTILE = [
    *("", ".", "..", "...", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "a/../b", "%2F", "%2e%2e", "a%00b"),
    *("anna.zip", "anna.tar.gz", "Anna", "ANNA", "anna ", " anna", "anna.", "-rf", "--help", "~root", "$HOME", "`id`"),
    *("con", "CON", "nul", "com1", "LPT9", "con.txt", "aux.zip", "a:b", "a*b", 'a"b', "a|b", "a<b", "a?b"),
    *("a\x00b", "a\nb", "a\rb", "\x1b[2J", "\x7f", "\u202ea", "\ud800", "\udc80", "ä", "a\u0308", "\xe4", "\ufb01"),
    *("!" + "x" * 398 + ":s", "x" * 41, "x" * 255, "\N{GRINNING FACE}" * 200, "/" * 400, "_" * 41, "-" * 41),
    *(
        "!abc:s.test",
        "!ABC:s.test",
        "!Abc:s.test",
        "$event/+id",
        "GCmhgzMPRjqgpODLsNQzVuHZ",
        "gcmhgzMPRjqgpODLsNQzVuHZ",
    ),
]
PLAIN = ["alice", "anna", "bot_2", "_bridge_123", "a=b", "a-b", "x" * 40, "0", "global", "con1", "console", "abcdefgh"]


@pytest.mark.parametrize("identifier", PLAIN)
def test_plain_id_is_its_own_name(identifier: str) -> None:
    assert name_of(identifier) == identifier


@pytest.mark.parametrize("identifier", HOSTILE)
def test_any_other_name_is_harmless(identifier: str, tmp_path: pathlib.Path) -> None:
    name = name_of(identifier)
    assert re.fullmatch(r"([0-9A-Za-z]([0-9A-Za-z_=-]{0,38}[0-9A-Za-z])?)?\+[0-9a-f]{32}", name)
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    assert name.endswith(f"+{digest[:32]}")
    (tmp_path / name).write_text("")
    assert os.listdir(tmp_path) == [name]


def test_no_two_ids_share_a_name_even_where_case_does_not_count() -> None:
    taken = [*PLAIN, *HOSTILE]
    # Someone who knows the rule may choose the name of another id as an id.
    taken += [name_of(identifier) for identifier in HOSTILE] + [name_of(identifier).lower() for identifier in HOSTILE]
    taken = list(dict.fromkeys(taken))
    assert len({name_of(identifier).lower() for identifier in taken}) == len(taken)


def test_name_shows_what_it_was_made_from() -> None:
    assert name_of("!lpZVXdbnFgbsvpMkDZ:example.org").startswith("lpZVXdbnFgbsvpMkDZ_example_org+")
    assert name_of("anna.smith").startswith("anna_smith+")
