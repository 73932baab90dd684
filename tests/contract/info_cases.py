# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases of the modules that only read."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place
from ansible_collections.matrix_ops.synapse.tests.contract.room_cases import make_destination, make_room

_READ = "read"


def _make_accounts(place: Place) -> None:
    for word in ("one", "two"):
        place.server.make_account(f"{place.unique}-{word}", displayname=word)


def _reads(module: str, prepare: t.Callable[[Place], None], parameters: t.Callable[[Place], dict[str, t.Any]]) -> Case:
    return Case(_READ, module, prepare, parameters, lambda place: {}, {})


CASES = (
    _reads("synapse_admin_user_info", _make_accounts, lambda place: {"search": f"{place.unique}-"}),
    _reads(
        "synapse_room_info",
        make_room,
        lambda place: {
            "room": place.ids["room"],
            "gather": ["members", "servers", "state", "blocked"],
        },
    ),
    _reads(
        "synapse_federation_info",
        make_destination,
        lambda place: {
            "destination": f"{place.unique}.dead.test",
            "gather": ["rooms", "talking_to", "ever_federated"],
        },
    ),
    _reads(
        "synapse_database_info",
        make_room,
        lambda place: {"config_path": place.server.config_path, "biggest_rooms": {"source": "admin_api"}},
    ),
)
