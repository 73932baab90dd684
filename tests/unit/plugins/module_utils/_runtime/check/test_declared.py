# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Declared

GIVEN = {**dict.fromkeys(Declared.__dataclass_fields__), "config_path": ["/a"], "wait_timeout": 0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": -1}, "^workers is -1. Set it to 0 or more.$"),
        ({"in_flight_requests": -1}, "^in_flight_requests is -1. Set it to 0 or more.$"),
        ({"pending_background_updates": -1}, "^pending_background_updates is -1. Set it to 0 or more.$"),
        ({"require_presence_proof": True}, "^require_presence_proof is true, but presence is not set"),
    ],
)
def test_options_that_cannot_be_meant(values: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Declared.read({**GIVEN, **values})


def test_options_that_are_zero() -> None:
    declared = Declared.read({**GIVEN, "workers": 0, "in_flight_requests": 0, "presence": "disabled"})
    assert (declared.workers, declared.in_flight_requests, declared.presence) == (0, 0, "disabled")


@pytest.mark.parametrize(
    ("values", "judges", "activity", "presence", "freshness"),
    [
        ({}, False, False, False, False),
        ({"fresh": True}, True, False, False, True),
        ({"presence": "enabled"}, True, True, True, True),
        ({"workers": 0}, True, False, False, False),
        ({"in_flight_requests": 0}, True, True, False, False),
        ({"pending_background_updates": 0}, False, False, False, False),
    ],
)
def test_what_must_be_read(
    values: dict[str, t.Any], judges: bool, activity: bool, presence: bool, freshness: bool
) -> None:
    declared = Declared(**values)
    assert (declared.judges_processes, declared.wanted.activity) == (judges, activity)
    assert (declared.reads_presence, declared.wanted.freshness) == (presence, freshness)
    assert not declared.reads_server


def test_where_the_server_is_asked() -> None:
    socket = Declared(
        base_url="http://localhost:8008", unix_socket="/run/main.sock", option_names={"unix_socket": "it"}
    )
    assert str(socket.address) == "http://localhost:8008 over /run/main.sock"
    assert str(Declared(base_url="http://localhost:8008").address) == "http://localhost:8008"
    assert socket.designation("this server").startswith("it ")


def test_what_to_restart() -> None:
    assert Declared(unit="u.service").restart({"pid": 7, "unit": "w@a.service"}) == "w@a.service"
    assert Declared().restart({"pid": 7}) == "it"
    assert Declared(unit="u.service").restart({"pid": 7}) == (
        "process 7 (it does not run in u.service, so end it before that unit is started)"
    )
