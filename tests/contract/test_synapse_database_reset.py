# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_database_reset does to a server that has never federated, and to one whose name changes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Expectation, Result, play, prove
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import (
    MODULE,
    backups,
    declare,
    fill,
    state,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_UNPREDICTABLE = ("database_reset.backup", "database_reset.media")
_EMPTY = {"users": 0, "rooms": 0, "events": 0, "answers": True, "backups": 1}


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"reset on {engine}")) for engine in servers.ENGINES],
)
def own(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    with servers.own_servers(request.param) as [server]:
        yield server


@pytest.fixture
def place(own: Server, tmp_path: Path) -> Place:
    fill(own)
    return Place(own, f"r{secrets.token_hex(4)}", tmp_path)


def _reset(place: Place, name: str = "reset", **options: t.Any) -> Result:
    done = prove(
        place,
        Expectation(
            name,
            MODULE,
            lambda place: declare(place, **options),
            state=state,
            shows=lambda _place: _EMPTY,
            unpredictable=_UNPREDICTABLE,
            token=False,
        ),
    )
    return t.cast("Result", done["database_reset"])


def test_never_federated(place: Place) -> None:
    before = state(place)
    reset = _reset(place)
    assert reset["case"] == "never_federated"
    assert "no evidence" in reset["reason"].lower()
    assert "not a proof" in reset["reason"]
    assert "grant_admin" in reset["next_steps"][0]
    [archive] = backups(place)
    assert reset["backup"] == str(archive)
    assert archive.stat().st_mode & 0o777 == 0o600
    manifest = prove_archive(str(archive)).manifest
    assert manifest["server_name"] == place.server.name
    assert manifest["row_counts"]["users"] == before["users"]
    assert manifest["row_counts"]["events"] == before["events"]
    assert manifest["media"]["files"] == 0
    # Without the option, the files stay.
    assert state(place)["media"] == before["media"]
    assert "media" not in reset
    left = [name for name in os.listdir(place.server.directory) if "matrix_ops" in name]
    assert left == []


def test_with_the_media(place: Place) -> None:
    before = state(place)
    foreign = Path(place.server.directory, "media_store", "local_content", "README")
    foreign.write_text("of the operator")
    reset = _reset(place, purge_media=True)
    assert reset["media"] == {"removed": before["media"], "kept": [str(foreign)], "kept_count": 1}
    assert foreign.exists()
    foreign.unlink()
    assert state(place)["media"] == 0
    [archive] = backups(place)
    assert prove_archive(str(archive)).manifest["media"]["files"] == before["media"] + 1


def test_media_of_a_database_that_was_reset_before(place: Place) -> None:
    _reset(place)
    assert state(place)["media"] > 0
    case = Expectation(
        "media only",
        MODULE,
        lambda place: declare(place, purge_media=True),
        state=state,
        shows=lambda _place: {"media": 0, "users": 0, "backups": 2},
        unpredictable=_UNPREDICTABLE,
        token=False,
    )
    reset = prove(place, case)["database_reset"]
    assert reset["case"] == "unused"


def test_a_stopped_server(place: Place) -> None:
    """It is started, because only then the new database is proven."""
    place.server.forget_database()
    servers.halt(place.server)
    done = play(place, MODULE, declare(place), token=False)
    assert done["changed"], done
    assert state(place) == {**_EMPTY, "media": state(place)["media"]}


def test_nothing_there(place: Place) -> None:
    """Without tables, or without a file, nothing is done, and the server is not started."""
    _reset(place)
    place.server.forget_database()
    servers.halt(place.server)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(place.server.directory, "homeserver.db"))
    done = play(place, MODULE, declare(place), token=False)
    assert not done["changed"], done
    assert done["database_reset"]["case"] == "unused"
    assert len(backups(place)) == 1
    servers.restart(place.server)


@pytest.mark.parametrize("new_key", [False, True], ids=["same key", "new key"])
def test_the_server_name_changes(place: Place, new_key: bool) -> None:
    server, old = place.server, place.server.name
    key = Path(server.directory, "signing.key")
    content, new = key.read_text(), f"{place.unique}.test"
    # Federation under the old name does not matter.
    server.write("INSERT INTO destinations (destination) VALUES ('far.example') ON CONFLICT DO NOTHING")
    server.forget_database()
    Path(server.config_path[1], "90-name.yaml").write_text(json.dumps({"server_name": new}))
    server.name = new
    refused = play(place, MODULE, declare(place, confirm=old), token=False)
    assert "which is the old server name" in refused["msg"]
    reset = _reset(place, new_signing_key=new_key)
    assert (reset["case"], reset["old_server_name"]) == ("server_name_changes", old)
    assert (key.read_text() != content) is new_key
    if new_key:
        assert Path(reset["old_signing_key"]).read_text() == content
        assert len(reset["next_steps"]) == 2
    else:
        assert "still signs with the key" in reset["next_steps"][1]
    fill(server)
    assert server.user_id("admin").endswith(f":{new}")
