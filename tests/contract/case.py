# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a case of a module is: what it starts from, what it declares, and how to see what has come of it."""

from __future__ import annotations

import dataclasses
import typing as t
import urllib.parse
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.fault_proxy import FAULTS
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

State = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one injection takes place: a server, a word that no other injection has, and a directory of its own.

    `ids`: what Synapse has named while it was prepared, such as rooms, by the words of the case for it.
    """

    server: Server
    unique: str
    directory: Path
    ids: dict[str, str] = dataclasses.field(default_factory=dict)

    def user(self, word: str) -> str:
        """Return the full user ID of an account of this injection."""
        return self.server.user_id(f"{self.unique}-{word}")


@dataclasses.dataclass(frozen=True)
class Case:
    """A change that a module makes.

    `prepare`: makes accounts and rooms of its own. `parameters`: of the task, without those of the connection.
    `state`: what the server shows of all that the case may touch, by words; `traces`: what must not be left behind.
    `effects`: for words of the state, what a step that changes it says. `token`: whether it has the admin's token.
    `secrets`: what must not be in a message, beside the secrets of the server.
    `faults`: those that it is to suffer.
    `restore`: makes the state again that `prepare` has made, where that costs less than rooms of its own.
    `alone`: whether it looks at all that is on the server, so that it takes longer the more others put there.
    """

    name: str
    module: str
    prepare: t.Callable[[Place], None]
    parameters: t.Callable[[Place], dict[str, t.Any]]
    state: t.Callable[[Place], State]
    effects: t.Mapping[str, str]
    traces: t.Callable[[Place], t.Any] = lambda place: None
    token: bool = True
    secrets: tuple[str, ...] = ()
    faults: tuple[str, ...] = tuple(FAULTS)
    alone: bool = False
    restore: t.Callable[[Place], None] | None = None


def named(cases: t.Iterable[Case]) -> list[t.Any]:
    """Return the cases for `pytest.mark.parametrize`, each under the names of its module and its own."""
    return [pytest.param(case, id=f"{case.module}: {case.name}") for case in cases]


def everybody_but(unique: str) -> list[str]:
    """Return patterns for all user IDs but those of accounts whose name begins with a word and a dash.

    One for each character in which a name differs: other cases make accounts on the server at the same time.
    """
    own = f"@{unique}-"
    return [f"{own[:position]}[!{own[position]}]*" for position in range(1, len(own))]


def as_known(place: Place, shown: t.Any) -> t.Any:
    """Return what is shown with the words of the case in place of what only this injection has."""
    named = {value: f"<{word}>" for word, value in place.ids.items()}
    named |= {urllib.parse.quote(value, safe=""): word for value, word in named.items()}
    named[str(place.directory)] = "<directory>"
    named[place.unique] = "<unique>"
    if isinstance(shown, str):
        for value in sorted(named, key=len, reverse=True):
            shown = shown.replace(value, named[value])
        return shown
    if isinstance(shown, dict):
        return {as_known(place, key): as_known(place, value) for key, value in shown.items()}
    if isinstance(shown, (list, tuple)):
        return [as_known(place, each) for each in shown]
    return shown
