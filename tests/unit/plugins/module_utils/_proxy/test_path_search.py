# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    CHARACTERS,
    FOREIGN,
    INTACT,
    Outcome,
    Probe,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_search import search
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import PUBLIC

ALL = ("%2f", "%3A", "%21", "%40", "%24", "%23", "%25", "%20", "%C3%A9")


def asked(characters: tuple[str, ...], refused: set[str]) -> Asked:
    is_refused = bool(refused & set(characters))
    probe = Probe(
        "media", CHARACTERS, "/x", "404", lambda _probe, _got: Outcome(FOREIGN if is_refused else INTACT), characters
    )
    return Asked("client", probe, Answer(PUBLIC, probe.request, "0", 404, (), b"", 0.1, "HTTP/1.1", "a", "b"))


def found(refused: set[str], most: int = 99, first: tuple[tuple[str, ...], ...] = (ALL,)) -> tuple[set[str], int]:
    """Return the characters that did not pass, and the number of requests."""
    rows = [asked(characters, refused) for characters in first]
    before = len(rows)

    def refuses(characters: list[str]) -> bool | None:
        if len(rows) - before == most:
            return None
        rows.append(asked(tuple(characters), refused))
        return rows[-1].outcome.state == FOREIGN

    search(rows, "media", refuses)
    passed = {code for row in rows if row.outcome.state == INTACT for code in row.probe.characters}
    return set(ALL) - passed, len(rows) - before


@pytest.mark.parametrize("character", ALL)
def test_one_character(character: str) -> None:
    characters, count = found({character})
    assert characters == {character}
    assert count <= 8


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_two_characters(first: str, second: str) -> None:
    assert found({first, second})[0] == {first, second}


def test_all_characters() -> None:
    assert found(set(ALL))[0] == set(ALL)


def test_what_is_known_already() -> None:
    first = (ALL, ALL[1:], ALL[1:5])
    # These four passed, and of the others only one did not.
    assert found({"%25"}, first=first) == ({"%25"}, 4)
    assert found({"%2f"}, first=(ALL, ALL[1:])) == ({"%2f"}, 0)


@pytest.mark.parametrize("most", range(5))
def test_not_enough_requests(most: int) -> None:
    characters, count = found({"%40"}, most)
    assert "%40" in characters
    assert count <= most


def test_nothing_is_refused() -> None:
    assert found(set()) == (set(), 0)
