# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_reset does if the server is used by others between its check and its drop."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset import postgresql
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.daemon_service import DaemonService
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import MODULE, declare, fill, state
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_ENGINES = {
    engine: pytest.param(engine, marks=pytest.mark.xdist_group(f"disturbed resets on {engine}"))
    for engine in servers.ENGINES
}


@pytest.fixture(scope="module", params=_ENGINES.values())
def own(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    with servers.own_servers(request.param) as [server]:
        yield server


@pytest.fixture
def place(own: Server, tmp_path: Path) -> Place:
    fill(own)
    return Place(own, f"r{secrets.token_hex(4)}", tmp_path)


def _require_old(failed: Result) -> None:
    assert failed.get("failed"), failed
    assert "Nothing is dropped: the old database is in place. Synapse runs on it again." in failed["msg"]
    assert failed["database"] == "old"


def test_it_federates_after_the_check(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    server, before, stop = place.server, state(place), DaemonService.stop

    def federate_and_stop(service: DaemonService) -> None:
        server.write("INSERT INTO destinations (destination) VALUES ('late.example')")
        server.forget_database()
        stop(service)

    monkeypatch.setattr(DaemonService, "stop", federate_and_stop)
    failed = play(place, MODULE, declare(place), token=False)
    server.write("DELETE FROM destinations WHERE destination = 'late.example'")
    _require_old(failed)
    assert failed["evidence"] == [{"kind": "destinations", "count": 1, "servers": ["late.example"]}]
    assert state(place) == before


def test_it_is_started_and_used_during_the_backup(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been written since is in no backup."""
    server, before, write = place.server, state(place), Backup.write

    def write_and_use(backup: Backup) -> t.Any:
        written = write(backup)
        servers.restart(server)
        server.register(f"late-{place.unique}", "a password of late")
        server.forget_database()
        server.forget_connection()
        return written

    monkeypatch.setattr(Backup, "write", write_and_use)
    failed = play(place, MODULE, declare(place), token=False)
    _require_old(failed)
    assert "was used while the backup was made" in failed["msg"]
    assert state(place) == {**before, "users": before["users"] + 1, "backups": 1}


def test_a_second_reset_at_the_same_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write, second = Backup.write, []

    def write_and_reset(backup: Backup) -> t.Any:
        written = write(backup)
        second.append(play(place, MODULE, declare(place), token=False))
        return written

    monkeypatch.setattr(Backup, "write", write_and_reset)
    done = play(place, MODULE, declare(place), token=False)
    assert not done.get("failed"), done
    assert "Another task resets or restores the server of" in second[0]["msg"]
    assert state(place)["users"] == 0
    assert state(place)["backups"] == 1


@pytest.mark.parametrize("own", [_ENGINES["postgresql"]], indirect=True)
def test_another_program_is_connected(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the Synapse of another host, or of another configuration that has the wrong database."""
    server = place.server
    before = state(place)
    monkeypatch.setattr(postgresql, "_PATIENCE", 0.2)
    server.rows("SELECT 1")
    failed = play(place, MODULE, declare(place), token=False)
    server.forget_database()
    _require_old(failed)
    assert "is used by another program" in failed["msg"]
    assert state(place) == {**before, "backups": 1}
