# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_export does while the server is stopped, and with a database of another version."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.export_people import collector, new_word, people
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import (
    Export,
    declare,
    left,
    prove_export,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

# The table and the column of a version, and what to add to it.
_STATEMENTS = {
    "is from a newer Synapse": ("schema_compat_version", "compat_version", 9999),
    "Start the server with this version of Synapse first": ("schema_version", "version", -1),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"stopped {engine}")) for engine in servers.ENGINES],
)
def stopped(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server that was stopped after users were created on it."""
    with servers.own_servers(request.param) as [server]:
        people(server)
        collector(server)
        servers.halt(server)
        yield server


@pytest.fixture
def here(stopped: Server, tmp_path: Path) -> Place:
    """The place of one case on the stopped server."""
    return Place(stopped, new_word(), tmp_path)


def test_account_of_a_stopped_server(here: Place) -> None:
    everybody = people(here.server)
    prove_export(
        here,
        Export(
            lambda place: declare(place, everybody.odd.localpart),
            holds=lambda _place: {"messages": everybody.odd_messages},
            silent=True,
        ),
    )


def test_files_of_an_account_of_a_stopped_server(here: Place) -> None:
    made = collector(here.server)
    prove_export(
        here,
        Export(
            lambda place: declare(place, made.person.localpart, media=True),
            holds=lambda _place: {"media_files": made.files},
            missing=lambda _place: made.missing,
            silent=True,
        ),
    )


def test_files_from_the_server_that_is_stopped(here: Place) -> None:
    declared = declare(here, collector(here.server).person.localpart, media=True, media_source="client_api")
    prove_refused(here, "failed. Connection refused", declared)


@pytest.mark.parametrize("message", _STATEMENTS)
def test_database_of_another_version(here: Place, message: str) -> None:
    table, column, added = _STATEMENTS[message]
    [(before,)] = here.server.rows(f"SELECT {column} FROM {table}")
    here.server.write(f"UPDATE {table} SET {column} = ?", before + added)
    try:
        prove_refused(here, message, declare(here, people(here.server).odd.localpart))
        assert left(here) == []
    finally:
        here.server.write(f"UPDATE {table} SET {column} = ?", before)
