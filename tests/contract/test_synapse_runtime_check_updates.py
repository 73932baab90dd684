# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_check says of the background updates of a new server, and of one that is left."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import database_rows, servers
from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.database_rows import UPDATE
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    prove,
    prove_refusal,
)

_MODULE = "synapse_runtime_check"
_ENOUGH = 60


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"updates on {name}")) for name in servers.ENGINES],
)
def new(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Place]:
    """A server that has just been started for the first time."""
    with servers.own_servers(request.param) as [server]:
        yield Place(server, "new", tmp_path_factory.mktemp("new"))


@pytest.fixture
def settled(new: Place) -> Place:
    """The same server after its background updates."""
    _allows(new, 0, left=[], wait_timeout=_ENOUGH)
    return new


@contextlib.contextmanager
def _pending(place: Place) -> t.Iterator[None]:
    database_rows.add_update(place.server)
    try:
        yield
    finally:
        database_rows.remove_update(place.server)


def _allows(place: Place, most: int, left: list[dict[str, t.Any]], **declared: t.Any) -> str:
    """Prove that the module accepts what is left, and return its proof."""
    case = Expectation(
        "allowed",
        _MODULE,
        lambda place: runtime.parameters(place, pending_background_updates=most, **declared),
        changes=False,
        state=runtime.shown,
        token=False,
        returns=lambda place: {"background_updates": left},
        unpredictable=("processes",),
    )
    return str(prove(place, case)["proofs"]["pending_background_updates"])


def _refuses(place: Place, message: str, **declared: t.Any) -> None:
    case = Refusal(
        "refused",
        _MODULE,
        lambda place: runtime.parameters(place, pending_background_updates=0, **declared),
        message,
        state=runtime.shown,
        token=False,
    )
    prove_refusal(place, case)


# The first test, while the server is new.
def test_an_account_is_reactivated_after_the_updates(new: Place) -> None:
    assert _allows(new, 0, left=[], wait_timeout=_ENOUGH) == "Background updates: all are complete."
    account = new.server.make_account("leaver")
    new.server.send("POST", f"/_synapse/admin/v1/deactivate/{account}", {})
    new.server.send("PUT", f"/_synapse/admin/v2/users/{account}", {"deactivated": False, "password": "a-new-password"})


def test_one_that_is_left(settled: Place) -> None:
    name = UPDATE["name"]
    with _pending(settled):
        _refuses(settled, f"^1 background update is not complete, but pending_background_updates is 0: {name}[.] ")
        _refuses(settled, "^1 background update is not complete after 1 seconds, but .* or raise limit", **_briefly())
        proof = _allows(settled, 1, left=[UPDATE])
    assert proof == f"Background updates: 1 left: {name}. At most 1 are allowed."


def _briefly() -> dict[str, t.Any]:
    return {"wait_timeout": 1, "option_names": {"wait_timeout": "limit"}}


def test_others_that_write_are_not_waited_for(settled: Place) -> None:
    with database_rows.locked(settled.server, "EXCLUSIVE"):
        _allows(settled, 0, left=[])


def test_a_database_that_is_not_there(settled: Place, tmp_path: Path) -> None:
    path, missing = tmp_path / "other.yaml", tmp_path / "missing.db"
    path.write_text(json.dumps({"database": {"name": "sqlite3", "args": {"database": str(missing)}}}))
    _refuses(
        settled,
        "^Whether at most the declared pending_background_updates are left is unknown[.] The SQLite database"
        rf" {missing} does not exist[.] .*{path}",
        config_path=[*settled.server.config_path, str(path)],
    )


def test_a_configuration_without_a_database(settled: Place, tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    path.write_text('{"database": null, "databases": null}')
    _refuses(
        settled,
        "is unknown[.] No database is set in ",
        config_path=[*settled.server.config_path, str(path)],
    )
