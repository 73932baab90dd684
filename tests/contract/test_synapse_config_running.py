# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which settings of synapse_config a running Synapse applies at a restart, and which at a reload."""

from __future__ import annotations

import os
import signal
import typing as t
import urllib.request
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    configure,
    look_at_configuration,
    own_path,
    without_server,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Expectation, prove
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

pytestmark = pytest.mark.xdist_group("configured servers")

_PATIENCE = 10.0
_WELL_KNOWN = "/.well-known/matrix/client"


@pytest.fixture(scope="module")
def started() -> t.Iterator[dict[str, Server]]:
    """A server on each engine whose configuration no other test changes."""
    with servers.own_servers(*servers.ENGINES) as own:
        yield {server.engine: server for server in own}


@pytest.fixture(params=servers.ENGINES)
def place(request: pytest.FixtureRequest, started: dict[str, Server], tmp_path: Path) -> Place:
    return Place(started[request.param], "", tmp_path)


def test_a_restart_applies_a_drop_in(place: Place) -> None:
    server = place.server
    case = Expectation(
        "a drop-in",
        "synapse_config",
        lambda place: without_server(
            config_path=server.config_path,
            path=own_path(place),
            settings={"public_baseurl": "https://matrix.example.test/"},
        ),
        state=look_at_configuration,
        returns=lambda place: {
            "changed_keys": ["public_baseurl"],
            "restart_required": True,
            "reload_required": False,
        },
        token=False,
    )
    assert server.ask("GET", _WELL_KNOWN, token="")[0] == 404
    prove(place, case)
    assert server.ask("GET", _WELL_KNOWN, token="")[0] == 404, "it has applied the setting before the restart"
    servers.restart(server)
    status, answer = server.ask("GET", _WELL_KNOWN, token="")
    assert (status, answer["m.homeserver"]["base_url"]) == (200, "https://matrix.example.test/")


def test_a_reload_applies_cache_factors(place: Place) -> None:
    server = place.server
    # At a reload, Synapse does not read files that did not exist when it was started.
    path = Path(server.config_path[1], "rate_limits.yaml")
    limits = yaml.safe_load(path.read_text())
    before = _size_of_caches(server)
    done = configure(place, path=str(path), settings={**limits, "caches": {"global_factor": 3.0}}, force=True)
    assert done["changed_keys"] == ["caches.global_factor"]
    assert (done["restart_required"], done["reload_required"]) == (False, True)
    assert _size_of_caches(server) == before
    os.kill(int(Path(server.directory, "homeserver.pid").read_text()), signal.SIGHUP)
    until(lambda: _size_of_caches(server), lambda now: now > before)


def _size_of_caches(server: Server) -> float:
    """Return the maximum number of entries of all caches."""
    # Never through a proxy: it could not reach this host's own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.metrics_url, timeout=_PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith("synapse_util_caches_cache_max_size")
    )
