# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds what a big server is made of, with real servers: big_server_build.py DIRECTORY POSTGRESQL_BIN

DIRECTORY: made here, with what a server of one neighbourhood is started from.
Runs on a Python with Synapse, with the collection and the files of setup_synapse on its path. SETUP_SYNAPSE_OWNER: the
process that stops the servers if this one cannot.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import shutil
import sqlite3
import sys
import typing as t
import urllib.request
from pathlib import Path

import neighbourhood
import processes
from neighbour import quoted

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_CLIENT = "/_matrix/client/v3"
_WIDE = {"per_second": 1000, "burst_count": 1000}
_SETTINGS = {name: _WIDE for name in ("rc_joins_per_room", "rc_reports", "rc_key_requests")}
_KEPT = ("homeserver.db", "homeserver.yaml", "conf.d", "log_config.yaml", "media_store", "signing.key")
# What Synapse does with events some time after it has taken them: how far it is.
_FOLLOWING = (
    "SELECT stream_id FROM stats_incremental_position",
    "SELECT stream_id FROM user_directory_stream_pos",
    "SELECT stream_ordering FROM event_push_summary_stream_ordering",
    "SELECT stream_id FROM federation_stream_position WHERE type = 'events'",
)


def build(directory: Path, binaries: str) -> None:
    """Build the server in `directory`, which does not exist yet."""
    started = importlib.import_module("servers").start(
        ["sqlite", "postgresql"], dict(_SETTINGS), binaries, "nobody", federating=True
    )
    try:
        described, other = started["servers"]
        meet(Server(described), Server(other))
        neighbourhood.make(described)
        _wait(Server(described))
        own = Path(described["directory"])
        for server in (described, other):
            processes.end(server["directory"], "synapse.app.")
        directory.mkdir(0o700)
        with contextlib.closing(sqlite3.connect(own / "homeserver.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for name in _KEPT:
            shutil.move(own / name, directory / name)
        directory.joinpath("described.json").write_text(json.dumps(described))
    finally:
        processes.stop(started["directory"])


def meet(own: Server, other: Server) -> None:
    """Let the plain users of two servers meet in rooms, invite each other, and see files and keys of each other."""
    guest = functools.partial(other.send, token=other.user_token)
    host = functools.partial(own.send, token=own.user_token)
    public = own.make_room(own.user_token, preset="public_chat", room_alias_name="met", room_version="12")
    guest("POST", f"{_CLIENT}/join/{quoted(f'#met:{own.name}')}")
    accepted = other.make_room(other.user_token, room_version="11", invite=[own.user])
    until(lambda: _membership(own, accepted), lambda found: found == ["invite"])
    host("POST", f"{_CLIENT}/join/{quoted(accepted)}")
    pending = other.make_room(other.user_token, room_version="10", invite=[own.user], name="Not yet")
    until(lambda: _membership(own, pending), lambda found: found == ["invite"])
    own.make_room(own.user_token, room_version="9", invite=[other.user])
    for number in range(20):
        for ask, room_id in ((guest, public), (host, public), (guest, accepted), (host, accepted)):
            path = f"{_CLIENT}/rooms/{quoted(room_id)}/send/m.room.message/{quoted(room_id[-4:])}{number}"
            ask("PUT", path, {"msgtype": "m.text", "body": f"{number} over there"})
    uri = _upload(other, {"a file": "of another server"})
    own.get(f"/_matrix/client/v1/media/download/{uri.removeprefix('mxc://')}")
    host("POST", f"{_CLIENT}/keys/query", {"device_keys": {other.user: []}})
    for server, room_id in ((own, accepted), (other, public)):
        query = "SELECT COUNT(*) FROM events WHERE room_id = ? AND type = 'm.room.message'"
        until(functools.partial(server.rows, query, room_id), lambda found: found == [(40,)])


def _membership(server: Server, room_id: str) -> list[str]:
    query = "SELECT membership FROM local_current_membership WHERE room_id = ? AND user_id = ?"
    return [str(row[0]) for row in server.rows(query, room_id, server.user)]


def _upload(server: Server, content: Json) -> str:
    request = urllib.request.Request(
        f"{server.base_url}/_matrix/media/v3/upload?filename=far.json",
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {server.user_token}"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return str(t.cast("Json", json.load(answer))["content_uri"])


def _wait(server: Server) -> None:
    """Wait until everything is done that Synapse does later, so that it is done for each copy too."""
    [(last,)] = server.rows("SELECT MAX(stream_ordering) FROM events")
    for query in _FOLLOWING:
        until(functools.partial(server.rows, query), lambda found: found[0][0] >= last - 100)
    until(lambda: server.rows("SELECT update_name FROM background_updates"), lambda found: not found)


if __name__ == "__main__":
    build(Path(sys.argv[1]), sys.argv[2])
