# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The case of the module that exports an account. Synapse's own command writes it, the rest is requested by HTTP."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place, State


def _make_account(place: Place) -> None:
    place.server.make_account(f"{place.unique}-one", displayname="Somebody")


def _declare_export(place: Place) -> dict[str, t.Any]:
    return {
        "user_id": place.user("one"),
        "dest": str(place.directory / "export"),
        "config_path": place.server.config_path,
        "synapse_python": place.server.python,
    }


def _state_of_export(place: Place) -> State:
    return {"export": sorted(path.name for path in place.directory.iterdir())}


CASE = Case(
    "export an account",
    "synapse_export",
    _make_account,
    _declare_export,
    _state_of_export,
    {"export": "export the data"},
    # Every run of Synapse's command takes seconds.
    faults=("refused", "status_429", "cut_in_answer", "json_cut"),
)
