# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""synapse_restore on a host without the server: everything is there again, and nothing is ever replaced."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.restored import Restored, backed_up

on_each_engine = pytest.mark.parametrize("engine", servers.ENGINES)


def _shown(made: Restored) -> dict[str, t.Any]:
    """What an administrator sees of the server."""
    server = made.server
    users = server.get("/_synapse/admin/v2/users?limit=1000&deactivated=true")["users"]
    rooms = server.get("/_synapse/admin/v1/rooms?limit=1000")["rooms"]
    anna = server.user_id("anna")
    keys = server.send("POST", "/_matrix/client/v3/keys/query", {"device_keys": {anna: []}})["device_keys"]
    events = [row[0] for row in server.rows("SELECT event_id FROM events ORDER BY event_id")]
    return {
        "users": [{key: value for key, value in user.items() if key != "last_seen_ts"} for user in users],
        "rooms": sorted(rooms, key=lambda room: str(room["room_id"])),
        "keys": keys,
        "messages": [
            server.get(f"/_synapse/admin/v1/fetch_event/{event_id}")["event"]["content"] for event_id in events
        ],
        "media": {media_id: made.downloaded(media_id) for media_id in made.media},
    }


@on_each_engine
def test_a_restored_server_is_the_same(engine: str, tmp_path: Path) -> None:
    with servers.own_servers(engine) as [server]:
        made = Restored(server, tmp_path)
        made.fill()
        before = _shown(made)
        made.back_up()
        files = {path: path.stat().st_mode for path in made.place.rglob("*.yaml")}
        made.wipe()

        predicted = made.run(check=True)
        assert not predicted.get("failed"), predicted
        assert not made.place.exists()
        done = made.run()
        assert not done.get("failed"), done
        assert done["changed"]
        assert done["steps"] == predicted["steps"]
        assert done["diff"] == predicted["diff"]
        assert {key: value for key, value in done["restore"].items() if key != "proven"} == predicted["restore"]
        assert done["unknown"] == []
        proven = done["restore"]["proven"]
        assert proven["login"] == 1
        assert proven["media_files"] == len(made.media)
        assert min(proven[kind] for kind in ("accounts", "events", "devices", "aliases", "media", "memberships")) > 0

        assert _shown(made) == before
        assert before["media"] == made.media
        assert server.accepts(server.user_id("anna"), "anna-secret")
        assert {path: path.stat().st_mode for path in made.place.rglob("*.yaml")} == files
        # Clients upload new ones: one of the old ones may have been used after the backup.
        assert server.rows("SELECT count(*) FROM e2e_one_time_keys_json") == [(0,)]
        # What is new must not have an ID that something else has already.
        server.make_room(server.speaking_as(server.user_id("bob")))

        again = made.run()
        assert not again["changed"]
        assert again["steps"] == []
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
        assert not made.run(check=True)["changed"]


@on_each_engine
def test_a_server_with_data_is_refused(engine: str, tmp_path: Path) -> None:
    with servers.own_servers(engine) as [server]:
        made = Restored(server, tmp_path)
        made.fill()
        made.back_up()
        for running in (True, False):
            if not running:
                servers.halt(server)
            for check in (True, False):
                result = made.run(check=check)
                assert result.get("failed"), result
                assert "This host has the data of a server: the " in result["msg"]
                assert "accounts" in result["msg"]
                assert not result["changed"]
        # Without its database, the media are enough.
        if engine == "postgresql":
            made.empty_database()
        else:
            (made.place / "homeserver.db").unlink()
            for path in made.place.glob("homeserver.db-*"):
                path.unlink()
        result = made.run()
        assert "This host has the data of a server: the media file " in result["msg"]
        # And then the signing key.
        shutil.rmtree(made.place / "media_store")
        (made.place / "signing.key").write_text("ed25519 a_test other\n")
        result = made.run()
        assert "is another signing key" in result["msg"]
        assert not (made.place / ".matrix_ops-restore.json").exists()


@pytest.fixture(scope="module")
def sqlite_backup(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Restored]:
    """One server that is gone, for tests that only refuse."""
    with backed_up("sqlite", tmp_path_factory.mktemp("refusals")) as made:
        yield made


def _refused(made: Restored, message: str, **changed: t.Any) -> None:
    for check in (True, False):
        result = made.run(check=check, **changed)
        assert result.get("failed"), result
        assert message in result["msg"], result["msg"]
        assert not result["changed"]
        assert not made.place.exists()
        assert all(secret not in json.dumps(result) for secret in made.server.secrets)


def test_damaged_archives_are_refused(sqlite_backup: Restored, tmp_path: Path) -> None:
    made = sqlite_backup
    whole = Path(made.archive).read_bytes()
    damaged = tmp_path / "damaged.tar"
    for place in range(600, len(whole), len(whole) // 20):
        content = bytearray(whole)
        content[place] ^= 1
        damaged.write_bytes(content)
        _refused(made, "is damaged: ", src=str(damaged))
    for size in (1024, len(whole) // 3, len(whole) - 20480):
        damaged.write_bytes(whole[:size])
        _refused(made, "is damaged: ", src=str(damaged))


def test_other_things_than_archives_are_refused(sqlite_backup: Restored, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("no archive")
    _refused(sqlite_backup, "is not a backup of this collection", src=str(other))
    _refused(sqlite_backup, "does not exist on this host", src=str(tmp_path / "missing"))


def test_a_task_for_another_server_is_refused(sqlite_backup: Restored) -> None:
    made = sqlite_backup
    _refused(made, "config_path is /srv/other.yaml, but was ", config_path=["/srv/other.yaml"])
    _refused(made, "Synapse is not installed on this host: /srv/python", synapse_python="/srv/python")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
def test_a_full_disk_is_found_first(sqlite_backup: Restored) -> None:
    made = sqlite_backup
    made.place.mkdir(0o700)
    os.system(f"mount -t tmpfs -o size=1m,mode=700 tmpfs {made.place}")
    try:
        for check in (True, False):
            result = made.run(check=check)
            assert "The restore needs " in result.get("msg", ""), result
            assert list(made.place.iterdir()) == []
    finally:
        os.system(f"umount --lazy {made.place}")
        made.place.rmdir()


def test_without_a_token_nothing_is_claimed(tmp_path: Path) -> None:
    with backed_up("sqlite", tmp_path) as made:
        result = made.run(access_token_path=str(tmp_path / "missing"))
        assert not result.get("failed"), result
        assert {each["name"] for each in result["unknown"]} >= {"access_token", "accounts", "events", "login"}
        assert all(each["reason"] and each["fix"] for each in result["unknown"])
