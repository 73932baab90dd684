# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module with the connection options, with a Synapse that listens for clients only at a Unix socket."""

from __future__ import annotations

import secrets
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import Backup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.note import Note, NoteFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.marker import (
    Marker,
    Stage,
    marker_path,
    write_marker,
)
from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    named,
    prove,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_RUNTIME = Path(__file__).resolve().parents[2] / "meta" / "runtime.yml"
_PASSWORD = "a long password of somebody"
_DESTINATION = "dead.test"


@pytest.fixture(scope="module")
def socket_server() -> t.Iterator[Server]:
    """A server whose client listener is a Unix socket, and nothing else."""
    with servers.own_servers("sqlite") as [server], tempfile.TemporaryDirectory(prefix="s_") as directory:
        servers.wait_for_profiles(server)
        # The path of a socket has at most 107 bytes.
        servers.listen_at_socket(server, f"{directory}/main.sock")
        yield server


@pytest.fixture
def place(socket_server: Server, tmp_path: Path) -> Place:
    """Where a case takes place."""
    return Place(socket_server, f"c{secrets.token_hex(4)}", tmp_path)


def _make_account(place: Place) -> None:
    place.server.make_account(f"{place.unique}-one", displayname="one", password=_PASSWORD)


def _account(place: Place) -> State:
    found = place.server.found(f"/_synapse/admin/v2/users/{place.user('one')}")
    return {"display name": found and found["displayname"]}


def _make_room(place: Place) -> None:
    place.ids["room"] = place.server.make_room(place.server.token, name=place.unique)


def _room(place: Place) -> State:
    return {"blocked": place.server.get(f"/_synapse/admin/v1/rooms/{place.ids['room']}/block")["block"]}


def _alias(place: Place) -> str:
    return f"#{place.unique}/a%2F:{place.server.name}"


def _pointing(place: Place) -> State:
    return {"rows": place.server.rows("SELECT room_id FROM room_aliases WHERE room_alias = ?", _alias(place))}


def _fail_to_deliver(place: Place) -> None:
    place.server.write(
        "INSERT INTO destinations (destination, retry_last_ts, retry_interval, failure_ts) VALUES (?, ?, ?, ?)",
        f"{place.unique}.{_DESTINATION}",
        4_000_000_000_000,
        3_600_000,
        4_000_000_000_000,
    )


def _retries(place: Place) -> State:
    query = "SELECT retry_interval FROM destinations WHERE destination = ?"
    return {"rows": place.server.rows(query, f"{place.unique}.{_DESTINATION}")}


def _export(place: Place) -> Parameters:
    return {
        "user_id": place.user("one"),
        "dest": str(place.directory / "export"),
        "config_path": place.server.config_path,
        "synapse_python": place.server.python,
        "media_source": "client_api",
    }


def _restore_without_proof(place: Place) -> None:
    _make_account(place)
    declared = DeclaredBackup(
        dest_directory=str(place.directory / "backups"),
        config_path=tuple(place.server.config_path),
        working_directory=place.server.directory,
        manager="daemon",
        environment_files=(),
        synapse_python=place.server.python,
        margin=1024**2,
    )
    place.ids["archive"] = Backup(declared).write().path
    proven = prove_archive(place.ids["archive"])
    marker = Marker(proven.content_sha256, place.server.name, int(proven.manifest["created_ts"]), Stage.PLACED)
    write_marker(marker_path(place.server.config_path), marker, ())


def _interrupt_reset(place: Place) -> None:
    # All accounts are younger.
    NoteFile(place.server.config_path).write(Note(place.server.name, {"main": True}, 1.0, "/backups/one.tar"))


def _runtime(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    return lambda place: runtime_cases.parameters(place, **declared)


def _over(place: Place) -> str:
    return f"{place.server.base_url} over {place.server.unix_socket}"


CASES = (
    Expectation(
        # Synapse limits logins for each address, which a socket does not show.
        "log in with a password",
        "synapse_access_token",
        lambda place: {
            "user_id": place.user("one"),
            "password": _PASSWORD,
            "access_token_path": str(place.directory / "token"),
        },
        prepare=_make_account,
        token=False,
        unpredictable=("token.access_token", "token.admin", "token.user_id"),
    ),
    Expectation(
        "create an account and log in",
        "synapse_access_token",
        lambda place: {
            "user_id": f"{place.unique}-robot",
            "password": _PASSWORD,
            "create": True,
            "admin": True,
            "config_path": place.server.config_path,
            "access_token_path": str(place.directory / "token"),
        },
        token=False,
        unpredictable=("token.access_token", "token.admin"),
    ),
    Expectation(
        "create an account",
        "synapse_admin_user",
        lambda place: {"user_id": f"{place.unique}-one", "display_name": "one", "password": _PASSWORD},
        state=_account,
        shows=lambda _place: {"display name": "one"},
        # A new account has what only Synapse decides.
        unpredictable=("user", "verified"),
        secrets=(_PASSWORD,),
    ),
    Expectation(
        "create many accounts",
        "synapse_admin_users",
        lambda place: {
            "users": [{"user_id": f"{place.unique}-{number}", "display_name": "x"} for number in range(30)],
            "parallel": 10,
        },
        unpredictable=("users", "verified"),
        # Its diff shows only what changes.
        repeatable=False,
    ),
    Expectation(
        "find an account",
        "synapse_admin_user_info",
        lambda place: {"search": f"{place.unique}-"},
        prepare=_make_account,
        changes=False,
        returns=lambda _place: {"users": lambda users: len(users) == 1},
    ),
    Expectation(
        "find big rooms",
        "synapse_database_info",
        lambda place: {"config_path": place.server.config_path, "biggest_rooms": {"source": "admin_api"}},
        prepare=_make_room,
        changes=False,
        unpredictable=("database",),
    ),
    Expectation(
        "export an account",
        "synapse_export",
        _export,
        prepare=_make_account,
        state=lambda place: {"export": (place.directory / "export").exists()},
        shows=lambda _place: {"export": True},
        unpredictable=("export",),
    ),
    Expectation(
        "reset a destination",
        "synapse_federation_destination",
        lambda place: {"destination": f"{place.unique}.{_DESTINATION}"},
        prepare=_fail_to_deliver,
        state=_retries,
        shows=lambda _place: {"rows": [(0,)]},
        # Synapse may try again at once.
        repeatable=False,
    ),
    Expectation(
        "look at a destination",
        "synapse_federation_info",
        lambda place: {"destination": f"{place.unique}.{_DESTINATION}"},
        prepare=_fail_to_deliver,
        changes=False,
    ),
    Expectation(
        # The server must stay as it is for the other cases.
        "stay on SQLite",
        "synapse_postgresql_migration",
        lambda place: {"config_path": place.server.config_path, "manager": "daemon", "state": "back"},
        changes=False,
        returns=lambda _place: {"migration": lambda found: "SQLite" in found["database"]},
    ),
    Expectation(
        # As if a run was killed after it had started the server.
        "compare a restored server with its backup",
        "synapse_restore",
        lambda place: {
            "src": place.ids["archive"],
            "config_path": place.server.config_path,
            "synapse_python": place.server.python,
            "manager": "daemon",
            "working_directory": place.server.directory,
        },
        prepare=_restore_without_proof,
        changes=False,
        returns=lambda _place: {"restore": lambda found: found["proven"]["login"] == 1, "unknown": []},
        unpredictable=("restore.proven",),
    ),
    Expectation(
        # As if a run was killed after it had started the server, which stays for the other cases.
        "finish a reset",
        "synapse_database_reset",
        lambda place: {
            "config_path": place.server.config_path,
            "confirm": place.server.name,
            "synapse_python": place.server.python,
            "manager": "daemon",
            "working_directory": place.server.directory,
        },
        prepare=_interrupt_reset,
        repeatable=False,
    ),
    Expectation(
        "look at Synapse itself, and at no proxy",
        "synapse_proxy_info",
        lambda _place: {"public_url": "http://127.0.0.1:1", "gather": ["paths"]},
        changes=False,
        # The only place where it is.
        returns=lambda place: {"server_name": place.server.name, "unknown": lambda found: "direct" not in str(found)},
        unpredictable=("requests",),
    ),
    Expectation(
        "block a room",
        "synapse_room",
        lambda place: {"room_id": place.ids["room"], "blocked": True},
        prepare=_make_room,
        state=_room,
        shows=lambda _place: {"blocked": True},
    ),
    Expectation(
        "point an alias with a quoted slash",
        "synapse_room_alias",
        lambda place: {"alias": _alias(place), "room_id": place.ids["room"]},
        prepare=_make_room,
        state=_pointing,
        shows=lambda place: {"rows": [(place.ids["room"],)]},
    ),
    Expectation(
        "look at a room",
        "synapse_room_info",
        lambda place: {"room": place.ids["room"], "gather": ["members", "state", "blocked"]},
        prepare=_make_room,
        changes=False,
    ),
    Expectation(
        "check the server",
        "synapse_runtime_check",
        lambda place: runtime_cases.parameters(
            place, answers=True, server_name=place.server.name, presence="enabled", wait_timeout=10
        ),
        changes=False,
        returns=lambda place: {
            "proofs": lambda proofs: _over(place) in proofs["server"] and _over(place) in proofs["presence"],
        },
        unpredictable=("processes",),
    ),
    Expectation(
        "look at the processes",
        "synapse_runtime_info",
        _runtime(gather=["server"]),
        changes=False,
        returns=lambda place: {"server": lambda server: server["name"] == place.server.name},
        unpredictable=("processes", "host", "in_containers"),
    ),
    Expectation(
        "look at the service",
        "synapse_service_info",
        lambda place: runtime_cases.parameters(
            place,
            unit="no-such-synapse.service",
            worker_unit="no-such-worker@.service",
            working_directory=place.server.directory,
            environment_files=[],
        ),
        changes=False,
        returns=lambda place: {
            "service": lambda found: (
                (found["server"]["name"], found["unix_socket"]) == (place.server.name, place.server.unix_socket)
            )
        },
        unpredictable=("service",),
    ),
)


@pytest.mark.parametrize("case", named(CASES))
def test_over_a_socket(place: Place, case: Expectation) -> None:
    prove(place, case)


def test_each_module_has_a_case() -> None:
    group = yaml.safe_load(_RUNTIME.read_text())["action_groups"]["synapse"]
    assert set(group) == {case.module for case in CASES}
