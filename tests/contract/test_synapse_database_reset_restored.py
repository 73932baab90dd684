# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup that a reset makes raises the old server again: on an empty host, and on the same one."""

from __future__ import annotations

import json
import os
import re
import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.reset_server import MODULE, declare, media
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored

_TABLES = ("users", "rooms", "events", "e2e_device_keys_json")


@pytest.fixture(params=servers.ENGINES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Restored]:
    """A server with accounts, rooms, media and keys."""
    with servers.own_servers(request.param) as [server]:
        made = Restored(server, tmp_path)
        made.fill()
        yield made


def _counts(old: Restored) -> dict[str, t.Any]:
    found = {table: old.server.rows(f"SELECT COUNT(*) FROM {table}") for table in _TABLES}
    old.server.forget_database()
    return found


def _reset(old: Restored, **options: t.Any) -> Result:
    place = Place(old.server, secrets.token_hex(4), old.directory)
    done = play(place, MODULE, declare(place, **options), token=False)
    assert done.get("changed"), done
    old.server.forget_connection()
    old.archive = done["database_reset"]["backup"]
    return t.cast("Result", done["database_reset"])


def _empty_the_host(old: Restored, refusal: str) -> None:
    """Do what the refusal of a restore says."""
    servers.halt(old.server)
    old.server.forget_connection()
    old.server.forget_database()
    if old.server.engine == "postgresql":
        assert "dropdb" in refusal
        old.empty_database()
        return
    path = os.path.join(old.server.directory, "homeserver.db")
    assert f"move {path} away" in refusal
    for ending in ("", "-wal", "-shm"):
        Path(path + ending).unlink(missing_ok=True)


def _require_old(old: Restored, counts: dict[str, t.Any]) -> None:
    assert _counts(old) == counts
    for media_id, content in old.media.items():
        assert old.downloaded(media_id) == content
    assert old.server.log_in(old.server.user_id("anna"), "anna-secret", "AFTER")


def test_on_an_empty_host(old: Restored) -> None:
    counts, token = _counts(old), old.token.read_text()
    missing = str(old.directory / "missing")
    _reset(old, purge_media=True, optional_paths=[str(old.token), missing])
    assert media(old.server) == 0
    old.token.unlink()
    old.wipe()
    done = old.run(allowed_paths=[str(old.token)])
    assert done.get("changed"), done
    assert str(old.token) in done["restore"]["files"]
    assert missing not in done["restore"]["files"]
    _require_old(old, counts)
    # With which the playbook site works again.
    assert old.token.read_text() == token
    assert old.server.get("/_matrix/client/v3/account/whoami")["user_id"] == old.server.admin


def test_on_the_same_host(old: Restored) -> None:
    """The media have stayed where they were, and are not in the backup."""
    counts, stored = _counts(old), media(old.server)
    _reset(old)
    refused = old.run()
    assert re.search("This host has the data of a server: the .* database .*accounts", refused["msg"]), refused
    _empty_the_host(old, refused["msg"])
    done = old.run()
    assert done.get("changed"), done
    assert "The backup contains no media" in str(done["warnings"])
    assert media(old.server) == stored
    _require_old(old, counts)


def test_after_the_server_name_has_changed(old: Restored) -> None:
    """The configuration in the backup has the new name, with which Synapse does not start."""
    counts, name = _counts(old), old.server.name
    dropin = Path(old.server.config_path[1], "90-name.yaml")
    dropin.write_text(json.dumps({"server_name": "new.test"}))
    reset = _reset(old, confirm="new.test", purge_media=True)
    assert reset["old_server_name"] == name
    old.wipe()
    failed = old.run()
    assert "Found users in database not native to new.test" in failed["msg"], failed
    dropin.write_text(json.dumps({"server_name": name}))
    servers.restart(old.server)
    assert not old.run(access_token_path=None).get("failed")
    _require_old(old, counts)


def test_a_restored_server_is_reset_and_restored_from_the_same_backup(old: Restored) -> None:
    """The record of the first restore is about the database that was dropped."""
    counts = _counts(old)
    old.back_up()
    old.wipe()
    assert old.run().get("changed")
    archive = old.archive
    _reset(old, purge_media=True)
    old.archive = archive
    refused = old.run()
    assert "This host has the data of a server" in refused["msg"], refused
    _empty_the_host(old, refused["msg"])
    done = old.run()
    assert done.get("changed"), done
    _require_old(old, counts)
