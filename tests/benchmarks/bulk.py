# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many accounts at once: synapse_admin_users against raw requests, and against the loop that people write today."""

from __future__ import annotations

import typing as t
from pathlib import Path

from commands import Failed
from measurement import Figure, Measurement, difference, figure
from place import Bench, bench

_ACCOUNTS = 1000
_MANY = 10_000
# How many the loop is run for: what it takes for all is reckoned from these.
_LOOPED = 10
_ROUNDS = 5
_CREATIONS = 4
_PARALLEL = 4
_MEGABYTE = 1_000_000
_MOST_MEMORY = 150


class Accounts:
    """The accounts of one server, as they are made and declared here."""

    def __init__(self, place: Bench, server: dict[str, t.Any]) -> None:
        self._place = place
        self._server = server
        self._made = 0
        self._token = place.write(f"token_{server['name']}", server["admin_access_token"])

    def name_new(self, number: int) -> list[str]:
        """Return localparts that do not exist yet."""
        return self.name_up_to(self._made + number)

    def name_up_to(self, number: int) -> list[str]:
        """Return the localparts that are still missing to that number."""
        first, self._made = self._made, number
        return [f"person{count:05}" for count in range(first, number)]

    def create_bare(self, localparts: t.Sequence[str]) -> float:
        """Create accounts with a bare session and return the seconds."""
        user_ids = [f"@{localpart}:{self._server['server_name']}" for localpart in localparts]
        given = self._place.write("user_ids.json", user_ids)
        done = self._bare("create", given, str(_PARALLEL))
        if done["count"] != len(user_ids):
            raise Failed(f"Only {done['count']} of {len(user_ids)} accounts were created.")
        return float(done["seconds"])

    def read_bare(self) -> float:
        """Read the raw pages and return the seconds."""
        return float(self._bare("read")["seconds"])

    def declare(self, localparts: t.Sequence[str], *, changed: bool) -> tuple[float, int]:
        """Declare accounts with our module; return the seconds of the task and the memory (bytes) of the module."""
        users = [{"user_id": localpart, "display_name": "Somebody", "admin": False} for localpart in localparts]
        task = {
            "matrix_ops.synapse.synapse_admin_users": {
                "base_url": self._server["base_url"],
                "access_token_path": str(self._token),
                "parallel": _PARALLEL,
                "users": "{{ accounts }}",
            }
        }
        played = self._place.play(task, self._place.write("accounts.json", {"accounts": users}))
        if f"changed={int(changed)}" not in played.output:
            raise Failed(played.output)
        return played.seconds, played.memory

    def loop_uri(self, localparts: t.Sequence[str]) -> float:
        """Ask for accounts one by one with ansible.builtin.uri, and return the seconds."""
        path = f"/_synapse/admin/v2/users/{{{{ ('@' ~ item ~ ':{self._server['server_name']}') | urlencode }}}}"
        task = {
            "ansible.builtin.uri": {
                "url": self._server["base_url"] + path,
                "headers": {"Authorization": f"Bearer {self._server['admin_access_token']}"},
            },
            "loop": list(localparts),
        }
        return self._place.play(task).seconds

    def _bare(self, command: str, *further: str | Path) -> dict[str, t.Any]:
        arguments = (command, self._server["base_url"], self._token, *further)
        return t.cast("dict[str, t.Any]", self._place.run("bare_session.py", *arguments))


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about twelve minutes."""
    with bench() as place, place.servers(["sqlite", "postgresql"]) as servers:
        for server in servers:
            yield _creations(Accounts(place, server), server["name"])
    with bench() as place, place.servers(["sqlite", "postgresql"]) as servers:
        for server in servers:
            accounts = Accounts(place, server)
            yield from _no_change(place, accounts, server["name"])
            if server["name"] == "postgresql":
                yield from _growth(place, accounts)


def _creations(accounts: Accounts, engine: str) -> Measurement:
    def bare() -> float:
        return accounts.create_bare(accounts.name_new(_ACCOUNTS))

    def ours() -> float:
        return accounts.declare(accounts.name_new(_ACCOUNTS), changed=True)[0]

    accounts.create_bare(accounts.name_new(100))
    rounds = []
    for number in range(_CREATIONS):
        # In this order, a server that slows down as it fills is fair to both.
        if number % 2 == 0:
            alternative, mine = bare(), ours()
        else:
            mine, alternative = ours(), bare()
        rounds.append((mine, alternative))
    declared, created = (figure(column) for column in zip(*rounds, strict=True))
    return Measurement(f"create {_ACCOUNTS} accounts, {engine}", declared, created, ">=", 0.9, inverted=True)


def _growth(place: Bench, accounts: Accounts) -> t.Iterator[Measurement]:
    # These rounds cannot be taken by turns: the server has to grow in between.
    known = [f"person{number:05}" for number in range(_MANY)]
    half = _above_a_ping(place, accounts, known[: _MANY // 2])[0]
    above, memory = _above_a_ping(place, accounts, known)
    # No round may take more.
    most = Figure((max(memory.rounds),))
    yield Measurement(f"{_MANY} accounts: most memory of the module", most, Figure((_MOST_MEMORY,)), "<=", 1, "MB")
    name = f"{_MANY} accounts, nothing to change: time above a ping, for each account, against {_MANY // 2}"
    yield Measurement(name, above, half, "<=", 1.25, "ms")


def _above_a_ping(place: Bench, accounts: Accounts, known: t.Sequence[str]) -> tuple[Figure, Figure]:
    """Declare all accounts that there are; return the milliseconds for each of them, and the memory in MB."""
    accounts.create_bare(accounts.name_up_to(len(known)))
    rounds = [(*accounts.declare(known, changed=False), place.ping()) for _round in range(_ROUNDS)]
    seconds, memory, pings = zip(*rounds, strict=True)
    return difference(seconds, pings, 1000 / len(known)), figure(memory, 1 / _MEGABYTE)


def _no_change(place: Bench, accounts: Accounts, engine: str) -> t.Iterator[Measurement]:
    # With the two that every server has, these are all accounts of the server.
    localparts = accounts.name_new(_ACCOUNTS - 2)
    accounts.create_bare(localparts)
    rounds = [
        (
            accounts.declare(localparts, changed=False)[0],
            place.ping() + accounts.read_bare(),
            accounts.loop_uri(localparts[:_LOOPED]),
        )
        for _round in range(_ROUNDS)
    ]
    declared, raw, looped = zip(*rounds, strict=True)
    name, ours = f"{_ACCOUNTS} accounts, nothing to change", figure(declared)
    yield Measurement(f"{name}, against a ping and raw reads, {engine}", ours, figure(raw), "<=", 1.5)
    theirs = figure(looped, _ACCOUNTS / _LOOPED)
    yield Measurement(f"{name}, against a loop of uri, {engine}", ours, theirs, ">=", 200, inverted=True)
