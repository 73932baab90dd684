# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode leaves nothing on the server: no device, no token, no event, and no token of somebody else dies of it."""

from __future__ import annotations

import secrets
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import account_cases, export_case, info_cases, room_cases
from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place, named
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_PASSWORD = "contract-old-0123"
_DEVICE = "matrix_ops.synapse"
# Without what Synapse notes of every request, such as when a device was last seen.
_SHOWN = {
    "devices": "user_id, device_id, display_name",
    "access_tokens": "id, user_id, device_id, valid_until_ms, puppets_user_id",
    "users": "name, password_hash, admin, deactivated, user_type, locked, suspended, shadow_banned",
    "profiles": "full_user_id, displayname, avatar_url",
    "user_threepids": "user_id, medium, address",
    "ratelimit_override": "user_id, messages_per_second, burst_count",
    "rooms": "room_id, creator, is_public",
    "blocked_rooms": "room_id, user_id",
    "room_aliases": "room_alias, room_id",
    "current_state_events": "room_id, type, state_key, event_id, membership",
    "destinations": "destination, retry_last_ts, retry_interval, failure_ts",
}
_CASES = (*account_cases.CASES, *room_cases.CASES, export_case.CASE)


def _look(server: Server) -> dict[str, list[tuple[t.Any, ...]]]:
    return {table: sorted(server.rows(f"SELECT {columns} FROM {table}"), key=repr) for table, columns in _SHOWN.items()}


def _check(server: Server, module: str, parameters: dict[str, t.Any], *, token: bool = True) -> dict[str, t.Any]:
    """Run the module in check mode, which must change nothing, and return its result."""
    given = {"access_token": server.token} if token else {}
    before = _look(server)
    result = run_module(module, {"base_url": server.base_url, **given, **parameters}, check=True, diff=True)
    after = _look(server)
    changed = {
        table: [row for row in [*before[table], *after[table]] if (row in before[table]) != (row in after[table])]
        for table in _SHOWN
    }
    assert not any(changed.values()), {table: rows for table, rows in changed.items() if rows}
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize("case", named(_CASES))
def test_a_change_that_is_only_checked_leaves_no_trace(server_alone: Server, case: Case, tmp_path: Path) -> None:
    place = Place(server_alone, f"t{secrets.token_hex(4)}", tmp_path)
    place.server.make_account(f"{place.unique}-bystander", password=_PASSWORD)
    case.prepare(place)
    result = _check(server_alone, case.module, case.parameters(place), token=case.token)
    assert result["changed"] is True, result


@pytest.mark.parametrize("case", [pytest.param(case, id=case.module) for case in info_cases.CASES])
def test_reading_leaves_no_trace(server_alone: Server, case: Case, tmp_path: Path) -> None:
    place = Place(server_alone, "traceofreading", tmp_path)
    case.prepare(place)
    assert _check(server_alone, case.module, case.parameters(place))["changed"] is False


@pytest.mark.parametrize("check", [True, False])
def test_a_stored_token_survives_the_look_at_the_first_admin(server_alone: Server, tmp_path: Path, check: bool) -> None:
    server = server_alone
    place = Place(server, f"stored{int(check)}", tmp_path)
    server.register(f"{place.unique}-one", _PASSWORD, admin=True)
    path = tmp_path / "token"
    account = {"user_id": place.user("one"), "password": _PASSWORD, "access_token_path": str(path)}
    obtained = run_module("synapse_access_token", {"base_url": server.base_url, **account})
    assert obtained["token"]["device_id"] == _DEVICE, obtained
    token = path.read_text().strip()
    declared = {"user_id": place.user("one"), "admin": True, "bootstrap_admin": True, "password": _PASSWORD}
    before = _look(server)
    result = run_module(
        "synapse_admin_user", {"base_url": server.base_url, "config_path": server.config_path, **declared}, check=check
    )
    assert (result.get("failed"), result.get("changed")) == (None, False), result
    assert server.ask("GET", "/_matrix/client/v3/account/whoami", None, token)[0] == 200, "the stored token is dead"
    assert _look(server) == before
