# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many rooms: synapse_room_info against the raw pages of the list."""

from __future__ import annotations

import typing as t

from measurement import Measurement, figure
from place import Bench, bench

_ROOMS = 5000
_ROUNDS = 5


def measure() -> t.Iterator[Measurement]:
    """Yield the measurement, in about a minute."""
    with bench() as place, place.servers(["postgresql"]) as [server]:
        # Synapse would need many minutes to make them; it lists them from these tables, as it does its own.
        place.run("many_rooms.py", place.write("database.json", server["database"]), str(_ROOMS))
        token = place.write("token", server["admin_access_token"])
        rounds = [
            (_list(place, server, str(token)), place.ping() + _read(place, server, str(token)))
            for _round in range(_ROUNDS)
        ]
    ours, raw = (figure(column) for column in zip(*rounds, strict=True))
    yield Measurement(f"list {_ROOMS} rooms, against a ping and the raw reads", ours, raw, "<=", 1.5)


def _list(place: Bench, server: dict[str, t.Any], token: str) -> float:
    options = {"base_url": server["base_url"], "access_token_path": token}
    return place.play({"matrix_ops.synapse.synapse_room_info": options}).seconds


def _read(place: Bench, server: dict[str, t.Any], token: str) -> float:
    return float(place.run("bare_session.py", "read_rooms", server["base_url"], token)["seconds"])
